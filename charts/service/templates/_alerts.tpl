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
{{- $deaths := include "service.seriesAnd" (dict "root" . "and" `cause!="replaced"`) -}}
{{- $short := include "service.seriesAnd" (dict "root" . "and" `le="0.1"`) -}}
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
  expr: sum by (pod) (increase(fairlead_worker_restarts_total{{ $deaths }}[15m])) > 3
  summary: "Workers of {{ $name }} die again and again."
- alert: ServiceRestartLoop
  severity: warning
  for: 0m
  expr: max by (pod) (changes(process_start_time_seconds{{ $own }}[30m])) > 3
  summary: "A pod of {{ $name }} is started again and again."
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
- alert: ServiceLoopLag
  severity: warning
  for: 10m
  expr: max by (pod) (fairlead_loop_lag_seconds{{ $own }}) > 0.25
  summary: "Every minute something in {{ $name }} holds up the event loop for a quarter of a second or longer."
- alert: ServiceGarbageCollection
  severity: warning
  for: 10m
  expr: >-
    sum by (pod) (increase(python_gc_pause_seconds_count{{ $own }}[15m]))
    - sum by (pod) (increase(python_gc_pause_seconds_bucket{{ $short }}[15m])) > 15
  summary: "The garbage collector holds {{ $name }} up for a tenth of a second or longer, more than once a minute."
- alert: ServicePoolExhausted
  severity: warning
  for: 2m
  expr: >-
    sum by (pod, db_client_connection_pool_name) (increase(db_client_connection_timeouts_total{{ $own }}[5m])) > 0
    or sum by (pod, db_client_connection_pool_name) (min_over_time(db_client_connection_pending_requests{{ $own }}[5m])) > 0
  summary: "Requests of {{ $name }} wait for a connection of a pool, or have waited in vain."
- alert: ServiceOpenFiles
  severity: warning
  for: 5m
  expr: sum by (pod) (process_open_fds{{ $own }}) / sum by (pod) (process_max_fds{{ $own }}) > 0.8
  summary: "{{ $name }} is about to run out of file descriptors, and then refuses connections."
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
- alert: ServiceTracesDropped
  severity: warning
  for: 15m
  expr: >-
    sum by (pod) (increase(fairlead_spans_dropped_total{{ $own }}[5m])) > 0
    or sum by (pod) (increase(fairlead_log_records_dropped_total{{ $own }}[5m])) > 0
  summary: "The collector does not take the traces or logs of {{ $name }}."
- alert: ServiceCertificateExpiry
  severity: warning
  for: 1h
  expr: min by (pod, certificate) (fairlead_tls_certificate_expiry_timestamp_seconds{{ $own }}) - time() < 604800
  summary: "A certificate that {{ $name }} serves expires within a week, and has not been renewed."
- alert: ServiceOutboxStuck
  severity: warning
  for: 10m
  expr: max(outbox_pending_rows{{ $own }}) > {{ int64 $rules.outboxRows }}
  summary: "Changes in {{ $name }} are committed, but nobody hears of them."
{{- end -}}
