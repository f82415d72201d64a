{{/* What Deployment, migration and test have in common: the image, its environment, and the restricted security profile. */}}

{{- define "service.image" -}}
{{- $image := .Values.image -}}
{{- printf "%s:%s" $image.repository ($image.tag | default .Chart.AppVersion) -}}
{{- with $image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "service.podSecurityContext" -}}
runAsNonRoot: true
{{- with .Values.runAsUser }}
runAsUser: {{ int64 . }}
runAsGroup: {{ int64 . }}
fsGroup: {{ int64 . }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "service.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* What the server reads of the framework's configuration; _drain.tpl says how the times belong together. */}}
{{- define "service.serverEnvironment" -}}
- name: FAIRLEAD_PORT
  value: {{ .Values.ports.http | quote }}
- name: FAIRLEAD_MANAGEMENT_PORT
  value: {{ .Values.ports.management | quote }}
- name: FAIRLEAD_DRAIN_DELAY
  value: {{ include "service.appDelaySeconds" . | quote }}
- name: FAIRLEAD_GRACEFUL_SHUTDOWN_TIMEOUT
  value: {{ .Values.drain.timeoutSeconds | quote }}
{{- if kindIs "string" .Values.workers }}
{{- /* Without a limit this reference would yield the size of the node, so _checks.tpl asks for one. */}}
{{- if eq .Values.workers "limits.cpu" }}
- name: FAIRLEAD_WORKERS
  valueFrom:
    resourceFieldRef:
      resource: limits.cpu
      divisor: "1"
{{- end }}
{{- else }}
- name: FAIRLEAD_WORKERS
  value: {{ .Values.workers | int | quote }}
{{- end }}
{{- end -}}

{{/* The service's own settings: plain ones as they are, secret ones as the name of a file. */}}
{{- define "service.settings" -}}
{{- range $name, $value := .Values.settings -}}
- name: {{ $name }}
  value: {{ include "service.text" $value | quote }}
{{ end -}}
{{- range $name := include "service.secretNames" . | fromJsonArray -}}
- name: {{ $name }}_FILE
  value: /run/secrets/fairlead/{{ $name }}
{{ end -}}
{{- end -}}

{{/* Every setting that is mounted as a file, wherever its Secret comes from. */}}
{{- define "service.secretNames" -}}
{{- $external := ternary .Values.externalSecret.data dict .Values.externalSecret.enabled -}}
{{- concat (keys .Values.secrets) (keys $external) | sortAlpha | toJson -}}
{{- end -}}

{{- define "service.externalSecretName" -}}
{{ include "service.fullname" . }}-external
{{- end -}}

{{/* A number as a person writes it: YAML gives Helm floats, whose own text would be 1e+06. */}}
{{- define "service.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) (lt . 1e15) (gt . -1e15) -}}
{{- int64 . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{- define "service.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if ne (include "service.secretNames" .) "[]" }}
- name: secrets
  mountPath: /run/secrets/fairlead
  readOnly: true
{{- end }}
{{- end -}}

{{- define "service.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ .Values.tmpSizeLimit }}
{{- if ne (include "service.secretNames" .) "[]" }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $name, $reference := .Values.secrets }}
      - secret:
          name: {{ $reference.secretName }}
          items:
            - key: {{ $reference.key }}
              path: {{ $name }}
      {{- end }}
      {{- if and .Values.externalSecret.enabled .Values.externalSecret.data }}
      - secret:
          name: {{ include "service.externalSecretName" . }}
          items:
            {{- range $name := keys .Values.externalSecret.data | sortAlpha }}
            - key: {{ $name }}
              path: {{ $name }}
            {{- end }}
      {{- end }}
{{- end }}
{{- end -}}
