{{/*
What calls somebody. Each alert has its page under `metrics.rules.runbook`, a threshold that values.yaml names or that
needs no choice, and a time that a deployment or a moment's trouble does not fill.
*/}}

{{/* This service's series, whichever monitor reads them: both take the job's name from the same label. */}}
{{- define "service.series" -}}
{namespace="{{ .Release.Namespace }}",job="{{ include "service.name" . }}"{{ with .and }},{{ . }}{{ end }}}
{{- end -}}

{{- define "service.seriesAnd" -}}
{{- include "service.series" (merge (dict "and" .and) .root) -}}
{{- end -}}

{{- define "service.alerts" -}}
{{- $name := include "service.name" . -}}
{{- $rules := .Values.metrics.rules -}}
{{- $own := include "service.series" . -}}
{{- $answers := include "service.seriesAnd" (dict "root" . "and" `http_response_status_code!="101"`) -}}
{{- $errors := include "service.seriesAnd" (dict "root" . "and" `http_response_status_code=~"5.."`) -}}
{{- $ready := include "service.seriesAnd" (dict "root" . "and" `state="ready"`) -}}
{{- $failed := include "service.seriesAnd" (dict "root" . "and" `state="failed"`) -}}
- alert: ServiceUnavailable
  severity: critical
  for: 2m
  expr: absent(fairlead_workers{{ $ready }}) or sum(fairlead_workers{{ $ready }}) == 0
  summary: "{{ $name }} has no worker that is ready."
- alert: ServiceErrors
  severity: critical
  for: 5m
  expr: >-
    sum(rate(http_server_request_duration_seconds_count{{ $errors }}[5m]))
    / sum(rate(http_server_request_duration_seconds_count{{ $own }}[5m])) > {{ $rules.errorRatio }}
  summary: "{{ $name }} answers more than {{ mulf $rules.errorRatio 100 }} % of its requests with an error of its own."
- alert: ServiceSlow
  severity: warning
  for: 10m
  expr: >-
    histogram_quantile(0.99, sum by (le) (rate(http_server_request_duration_seconds_bucket{{ $answers }}[5m])))
    > {{ $rules.latencySeconds }}
  summary: "One answer in a hundred of {{ $name }} takes longer than {{ $rules.latencySeconds }} s."
- alert: ServiceWorkersRestarting
  severity: warning
  for: 0m
  expr: sum by (pod) (increase(fairlead_worker_restarts_total{{ $own }}[15m])) > 3
  summary: "Workers of {{ $name }} die again and again."
- alert: ServiceWorkersFailed
  severity: warning
  for: 5m
  expr: max by (pod) (fairlead_workers{{ $failed }}) > 0
  summary: "A worker of {{ $name }} does not come back."
- alert: ServiceLoopBlocked
  severity: warning
  for: 10m
  expr: sum by (pod) (rate(fairlead_loop_blocked_seconds_total{{ $own }}[5m])) > 0.05
  summary: "Something in {{ $name }} holds up the event loop, and everybody with it."
- alert: ServiceDrainStuck
  severity: warning
  for: {{ add (include "service.gracePeriodSeconds" . | int) 60 }}s
  expr: max by (pod) (fairlead_draining{{ $own }}) == 1
  summary: "A pod of {{ $name }} has been draining for longer than its grace period."
- alert: ServiceLogLinesDropped
  severity: warning
  for: 5m
  expr: sum by (pod) (increase(fairlead_log_lines_dropped_total{{ $own }}[5m])) > 0
  summary: "{{ $name }} logs faster than its output is read; lines are missing."
- alert: ServiceOutboxStuck
  severity: warning
  for: 10m
  expr: max(outbox_pending_rows{{ $own }}) > {{ int64 $rules.outboxRows }}
  summary: "Changes in {{ $name }} are committed, but nobody hears of them."
{{- end -}}
