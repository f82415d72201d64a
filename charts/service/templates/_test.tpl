{{/*
A Job of `helm test`: the service's own image runs one script. A Job rather than a Pod: it needs no probes of its own, and
a first try that comes too early is repeated. `script` is below scripts/, `arguments` is what it is called with.
*/}}
{{- define "service.test" -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "service.fullname" .root }}-test{{ .suffix }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "service.applicationLabels" .root | nindent 4 }}
    {{- include "service.releaseLabels" .root | nindent 4 }}
    app.kubernetes.io/component: test{{ .suffix }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: 2
  activeDeadlineSeconds: 60
  template:
    metadata:
      labels:
        {{- include "service.applicationLabels" .root | nindent 8 }}
        app.kubernetes.io/component: test{{ .suffix }}
    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- with .root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      securityContext:
        {{- include "service.podSecurityContext" .root | nindent 8 }}
      containers:
        - name: request
          image: {{ include "service.image" .root }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          command: [python, -c]
          args:
            - |
              {{- .root.Files.Get .script | nindent 14 }}
            {{- range .arguments }}
            - {{ . }}
            {{- end }}
          resources:
            {{- toYaml .root.Values.resources | nindent 12 }}
          securityContext:
            {{- include "service.securityContext" .root | nindent 12 }}
{{- end -}}

{{/* Where the service is called within the cluster, without the scheme. */}}
{{- define "service.address" -}}
{{ include "service.fullname" . }}.{{ .Release.Namespace }}:{{ .Values.service.port }}
{{- end -}}
