{{/* Names and labels. An umbrella chart aliases this chart, so the alias names the application there; elsewhere the release does. */}}

{{- define "service.name" -}}
{{- $given := ternary .Release.Name .Chart.Name (eq .Chart.Name "service") -}}
{{- .Values.nameOverride | default $given | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* 46 characters leave room for the longest ending, that of the migration Job, below Kubernetes' 63. */}}
{{- define "service.fullname" -}}
{{- $name := include "service.name" . -}}
{{- $joined := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $joined | trunc 46 | trimSuffix "-" -}}
{{- end -}}

{{- define "service.serviceAccountName" -}}
{{- $unnamed := ternary (include "service.fullname" .) "default" .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default $unnamed -}}
{{- end -}}

{{/* Every pod of the application, whatever it does. */}}
{{- define "service.applicationLabels" -}}
app.kubernetes.io/name: {{ include "service.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The pods that answer requests; neither migration nor test. */}}
{{- define "service.selectorLabels" -}}
{{ include "service.applicationLabels" . }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "service.releaseLabels" -}}
{{- $version := .Values.image.tag | default .Chart.AppVersion -}}
helm.sh/chart: {{ printf "service-%s" .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ $version | trunc 63 | trimSuffix "-" | trimSuffix "." | trimSuffix "_" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "service.labels" -}}
{{ include "service.selectorLabels" . }}
{{ include "service.releaseLabels" . }}
{{- end -}}
