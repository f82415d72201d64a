{{/*
What values.schema.json cannot say: values that are fine alone and wrong together. Each message says what to write
instead. Evaluated once for a release, by the Deployment.
*/}}

{{- define "service.checks" -}}
{{- include "service.checkImage" . -}}
{{- include "service.checkSettings" . -}}
{{- include "service.checkExternalSecret" . -}}
{{- include "service.checkSizes" . -}}
{{- include "service.checkAvailability" . -}}
{{- include "service.checkReachability" . -}}
{{- end -}}

{{- define "service.checkImage" -}}
{{- if not .Values.image.repository -}}
{{- fail "image.repository is empty: name the service's image, as in --set image.repository=example/auth" -}}
{{- end -}}
{{- if eq .Values.image.tag "latest" -}}
{{- fail "image.tag is latest, which means another image every day: write a version, or set image.digest" -}}
{{- end -}}
{{- end -}}

{{- define "service.checkSettings" -}}
{{- $computed := dict
      "FAIRLEAD_PORT" "ports.http"
      "FAIRLEAD_MANAGEMENT_PORT" "ports.management"
      "FAIRLEAD_DRAIN_DELAY" "drain.delaySeconds"
      "FAIRLEAD_GRACEFUL_SHUTDOWN_TIMEOUT" "drain.timeoutSeconds"
      "FAIRLEAD_WORKERS" "workers" -}}
{{- range $name, $value := $computed -}}
{{- if hasKey $.Values.settings $name -}}
{{- fail (printf "settings.%s is computed by the chart: set %s instead" $name $value) -}}
{{- end -}}
{{- end -}}
{{- range $name, $reference := .Values.secrets -}}
{{- if or (hasKey $.Values.settings $name) (hasKey $.Values.settings (printf "%s_FILE" $name)) -}}
{{- fail (printf "%s is in settings and in secrets: keep one of the two" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "service.checkExternalSecret" -}}
{{- $external := .Values.externalSecret -}}
{{- if $external.enabled -}}
{{- if not $external.store -}}
{{- fail "externalSecret.enabled is true, but externalSecret.store is empty: name the store, as in externalSecret.store: vault" -}}
{{- end -}}
{{- if not $external.data -}}
{{- fail "externalSecret.enabled is true, but externalSecret.data is empty: name what comes from the store, as in externalSecret.data: {DATABASE_URL: {key: shop/auth}}" -}}
{{- end -}}
{{- range $name, $reference := $external.data -}}
{{- if or (hasKey $.Values.secrets $name) (hasKey $.Values.settings $name) (hasKey $.Values.settings (printf "%s_FILE" $name)) -}}
{{- fail (printf "%s is in externalSecret.data and in settings or secrets as well: keep one of them (null removes an entry)" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "service.checkSizes" -}}
{{- $requests := .Values.resources.requests | default dict -}}
{{- $limits := .Values.resources.limits | default dict -}}
{{- if and (kindIs "string" .Values.workers) (eq .Values.workers "limits.cpu") (not $limits.cpu) -}}
{{- fail "workers is limits.cpu, but resources.limits.cpu is not set: set the limit, or write workers: auto" -}}
{{- end -}}
{{- if eq (int .Values.ports.http) (int .Values.ports.management) -}}
{{- fail (printf "ports.http and ports.management are both %d: give probes and metrics a port of their own" (int .Values.ports.http)) -}}
{{- end -}}
{{- if gt (int .Values.probes.timeoutSeconds) (int .Values.probes.periodSeconds) -}}
{{- fail "probes.timeoutSeconds is above probes.periodSeconds: a probe has to end before the next one starts" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled .Values.autoscaling.cpuPercent (not (or $requests.cpu $limits.cpu)) -}}
{{- fail "autoscaling.cpuPercent is a share of resources.requests.cpu: set that request, or cpuPercent: null" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled .Values.autoscaling.memoryPercent (not (or $requests.memory $limits.memory)) -}}
{{- fail "autoscaling.memoryPercent is a share of resources.requests.memory: set that request, or memoryPercent: null" -}}
{{- end -}}
{{- end -}}

{{/* The number of pods that there are at least: what disruption budget and hints go by. */}}
{{- define "service.fewestPods" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.replicas .Values.autoscaling.enabled | int -}}
{{- end -}}

{{- define "service.checkAvailability" -}}
{{- $scaling := .Values.autoscaling -}}
{{- $fewest := include "service.fewestPods" . | int -}}
{{- if and $scaling.enabled (lt (int $scaling.maxReplicas) (int $scaling.minReplicas)) -}}
{{- fail (printf "autoscaling.maxReplicas is %d, below minReplicas %d: raise it" (int $scaling.maxReplicas) (int $scaling.minReplicas)) -}}
{{- end -}}
{{- if and $scaling.enabled (not (or $scaling.cpuPercent $scaling.memoryPercent $scaling.requestsPerSecond)) -}}
{{- fail "autoscaling has no criterion: set cpuPercent, memoryPercent or requestsPerSecond" -}}
{{- end -}}
{{- if and (has (toString .Values.rollout.maxSurge) (list "0" "0%")) (has (toString .Values.rollout.maxUnavailable) (list "0" "0%")) -}}
{{- fail "rollout.maxSurge and rollout.maxUnavailable are both 0, so no pod could ever be replaced: set one to 1" -}}
{{- end -}}
{{- if $scaling.keda.enabled -}}
{{- if not $scaling.enabled -}}
{{- fail "autoscaling.keda.enabled is true, but autoscaling.enabled is false: set that to true as well" -}}
{{- end -}}
{{- if and $scaling.requestsPerSecond (not $scaling.keda.prometheusUrl) -}}
{{- fail "autoscaling.requestsPerSecond by KEDA needs autoscaling.keda.prometheusUrl: write Prometheus' address, as in http://prometheus.monitoring:9090" -}}
{{- end -}}
{{- end -}}
{{- $budget := .Values.disruptionBudget -}}
{{- if and $budget.enabled (gt $fewest 1) -}}
{{- if kindIs "invalid" $budget.minAvailable -}}
{{- if has (toString $budget.maxUnavailable) (list "0" "0%" "<nil>") -}}
{{- fail "disruptionBudget.maxUnavailable lets no pod go, so no node could be drained: set it to 1, or enabled: false" -}}
{{- end -}}
{{- else if kindIs "string" $budget.minAvailable -}}
{{- if eq $budget.minAvailable "100%" -}}
{{- fail "disruptionBudget.minAvailable of 100% lets no pod go, so no node could be drained: lower it" -}}
{{- end -}}
{{- else if ge (int $budget.minAvailable) $fewest -}}
{{- fail (printf "disruptionBudget.minAvailable is %d, but there may be only %d pods, so no node could be drained: at most %d" (int $budget.minAvailable) $fewest (sub $fewest 1)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "service.checkReachability" -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.enabled is true, but ingress.hosts is empty: name a host, as in ingress.hosts: {shop.example: {path: /}}" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.gateways) -}}
{{- fail "httpRoute.enabled is true, but httpRoute.gateways is empty: name the Gateway, as in httpRoute.gateways: {public: {namespace: gateways}}" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor and metrics.podMonitor are both enabled, so every number would be counted twice: keep one of the two" -}}
{{- end -}}
{{- range $monitor := list "serviceMonitor" "podMonitor" -}}
{{- if and (index $.Values.metrics $monitor "enabled") $.Values.networkPolicy.enabled (not $.Values.networkPolicy.ingress.management) -}}
{{- fail (printf "metrics.%s.enabled is true, but networkPolicy.ingress.management lets nobody read metrics: name Prometheus' namespace there" $monitor) -}}
{{- end -}}
{{- end -}}
{{- end -}}
