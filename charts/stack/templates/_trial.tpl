{{/* What the two trial servers have in common. Everything of theirs carries the label fairlead/trial. */}}

{{- define "stack.trialSelector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{- define "stack.trialLabels" -}}
{{ include "stack.trialSelector" . }}
app.kubernetes.io/component: trial
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "stack-%s" .root.Chart.Version | replace "+" "_" }}
fairlead/trial: "true"
{{- end -}}

{{- define "stack.image" -}}
{{- if eq .tag "latest" -}}
{{- fail (printf "the tag of %s is latest, which means another image every day: write a version, or set the digest" .repository) -}}
{{- end -}}
{{ .repository }}:{{ .tag }}{{ with .digest }}@{{ . }}{{ end }}
{{- end -}}

{{- define "stack.podSecurityContext" -}}
runAsNonRoot: true
{{- with .Values.trial.runAsUser }}
runAsUser: {{ int64 . }}
runAsGroup: {{ int64 . }}
fsGroup: {{ int64 . }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "stack.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* A StatefulSet of one pod: `name`, `values`, `port`, `command`, `check` (of the probes), and more of the pod as text. */}}
{{- define "stack.trialServer" -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "stack.trialLabels" . | nindent 4 }}
spec:
  serviceName: {{ .name }}
  replicas: 1
  selector:
    matchLabels:
      {{- include "stack.trialSelector" . | nindent 6 }}
  persistentVolumeClaimRetentionPolicy:
    whenDeleted: Delete
    whenScaled: Retain
  template:
    metadata:
      labels:
        {{- include "stack.trialSelector" . | nindent 8 }}
        fairlead/trial: "true"
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: 60
      securityContext:
        {{- include "stack.podSecurityContext" .root | nindent 8 }}
      containers:
        - name: {{ .name }}
          image: {{ include "stack.image" .values.image }}
          imagePullPolicy: Always
          {{- .container | nindent 10 }}
          ports:
            - name: server
              containerPort: {{ .port }}
          startupProbe:
            exec: {command: {{ toJson .check }}}
            periodSeconds: 2
            timeoutSeconds: 5
            failureThreshold: 60
          livenessProbe:
            exec: {command: {{ toJson .check }}}
            periodSeconds: 20
            timeoutSeconds: 10
            failureThreshold: 3
          readinessProbe:
            exec: {command: {{ toJson .check }}}
            periodSeconds: 5
            timeoutSeconds: 5
          resources:
            {{- toYaml .values.resources | nindent 12 }}
          securityContext:
            {{- include "stack.securityContext" .root | nindent 12 }}
      volumes:
        {{- .volumes | nindent 8 }}
  volumeClaimTemplates:
    - metadata:
        name: data
      spec:
        accessModes: [ReadWriteOnce]
        resources:
          requests:
            storage: {{ .values.storage }}
{{- end -}}

{{/*
What is generated, once: an upgrade takes what the Secrets hold. `helm template` knows no cluster and shows new ones each
time, so whoever applies rendered files (Argo CD, Flux' post-rendering) brings Secrets of their own: trial.enabled false.
*/}}
{{- define "stack.generated" -}}
{{- $known := (lookup "v1" "Secret" .Release.Namespace "trial").data | default dict -}}
{{- range $key := list "postgres" "auth" "catalog" "valkey" }}
{{ $key }}: {{ (get $known $key | b64dec) | default (randAlphaNum 32) | quote }}
{{- end }}
signing-key.pem: {{ (get $known "signing-key.pem" | b64dec) | default (genPrivateKey "ed25519") | quote }}
{{- end -}}

{{- define "stack.secret" -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "stack.trialLabels" . | nindent 4 }}
type: Opaque
stringData:
  {{- range $key, $value := .content }}
  {{ $key }}: {{ $value | quote }}
  {{- end }}
{{- end -}}
