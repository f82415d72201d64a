{{/*
How a pod goes away, in seconds. The pod is taken out of its Service when it is marked for removal; it serves on for
drain.delaySeconds, so that nobody still sends to a closed port, then has drain.timeoutSeconds for what is in flight.

The delay is waited for once, by whichever can: the kubelet (a native sleep, Kubernetes 1.30 and later; no shell needed)
or the app (FAIRLEAD_DRAIN_DELAY). Grace = delay + time-out + the time to flush telemetry and close pools, so the kubelet
never kills what the app still waits for.
*/}}

{{- define "service.preStopSeconds" -}}
{{- $native := semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version -}}
{{- ternary .Values.drain.delaySeconds 0 (and .Values.drain.preStop $native) -}}
{{- end -}}

{{- define "service.appDelaySeconds" -}}
{{- sub .Values.drain.delaySeconds (include "service.preStopSeconds" . | int) -}}
{{- end -}}

{{- define "service.gracePeriodSeconds" -}}
{{- add .Values.drain.delaySeconds .Values.drain.timeoutSeconds 5 -}}
{{- end -}}

{{/* How many probes in a row have to fail before `seconds` have passed. */}}
{{- define "service.failureThreshold" -}}
{{- max 1 (ceil (divf .seconds .period)) -}}
{{- end -}}
