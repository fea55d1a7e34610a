{{/* The release's name with the chart's, short enough for what is hung on it. */}}
{{- define "gpupack.name" -}}
{{- if contains "gpupack" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-gpupack" (.Release.Name | trunc 32 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "gpupack.labels" -}}
app.kubernetes.io/name: gpupack
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: {{ .Values.mode }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end -}}

{{- define "gpupack.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end -}}

{{- define "gpupack.claim" -}}
{{ .Values.store.existingClaim | default (printf "%s-store" (include "gpupack.name" .)) }}
{{- end -}}

{{/* Whether the image's own server runs the models. */}}
{{- define "gpupack.ownServer" -}}
{{- if and (eq .Values.mode "profile") (not .Values.profile.url) }}yes{{ end -}}
{{- end -}}

{{/* Kubernetes writes the value of a variable for $(NAME) in arguments, and $ for $$. */}}
{{- define "gpupack.literally" -}}
{{ . | replace "$" "$$" }}
{{- end -}}

{{- define "gpupack.profileArguments" -}}
{{- $all := list "profile" "--store=/store/profiles.jsonl" "--export-path=/store/tables" -}}
{{- if .Values.profile.url -}}
{{- $all = append $all (printf "--url=%s" (include "gpupack.literally" .Values.profile.url)) -}}
{{- else -}}
{{- $all = append $all "--model-repository=/models" -}}
{{- end -}}
{{- with .Values.profile.models -}}
{{- $all = append $all (printf "--models=%s" (include "gpupack.literally" (join "," .))) -}}
{{- end -}}
{{- $batch := list -}}
{{- range .Values.profile.batch }}{{ $batch = append $batch (int . | toString) }}{{ end -}}
{{- $concurrency := list -}}
{{- range .Values.profile.concurrency }}{{ $concurrency = append $concurrency (int . | toString) }}{{ end -}}
{{- $all = append $all (printf "--batch=%s" (join "," $batch)) -}}
{{- $all = append $all (printf "--concurrency=%s" (join "," $concurrency)) -}}
{{- if ne (toString .Values.profile.gpu) "" -}}
{{- $all = append $all (printf "--gpu=%s" (include "gpupack.literally" (toString .Values.profile.gpu))) -}}
{{- end -}}
{{- with .Values.profile.sharing -}}
{{- $all = append $all (printf "--sharing=%s" .) -}}
{{- end -}}
{{- concat $all .Values.profile.arguments | toYaml -}}
{{- end -}}

{{- define "gpupack.placeArguments" -}}
{{- $all := list "place" "/store/profiles.jsonl" "--json=/store/placement.json" "--markdown=/store/placement.md" -}}
{{- with .Values.plan.objective -}}
{{- $all = append $all (printf "--objective=%s" .) -}}
{{- end -}}
{{- if .Values.plan.request -}}
{{- $all = append $all "--request=/request/request.yaml" -}}
{{- end -}}
{{- concat $all .Values.plan.arguments | toYaml -}}
{{- end -}}

{{- define "gpupack.reportArguments" -}}
{{- $all := list "report" "/store/placement.json" "--output=/store/report.html" -}}
{{- if .Values.plan.explain -}}
{{- $all = append $all "--explain" -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* What every container has, after its name and arguments. */}}
{{- define "gpupack.container" -}}
image: {{ include "gpupack.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.env }}
env: {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- $resources := deepCopy .Values.resources -}}
  {{- if and (include "gpupack.ownServer" .) (gt (int .Values.gpu.count) 0) -}}
  {{- $limits := merge (dict .Values.gpu.resource (int .Values.gpu.count)) (get $resources "limits" | default dict) -}}
  {{- $_ := set $resources "limits" $limits -}}
  {{- end }}
  {{- toYaml $resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  capabilities: {drop: [ALL]}
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  seccompProfile: {type: RuntimeDefault}
volumeMounts:
  - {name: store, mountPath: /store}
  - {name: scratch, mountPath: /tmp, subPath: tmp}
  - {name: scratch, mountPath: /work, subPath: work}
  - {name: scratch, mountPath: /opt/gpupack/cache/logs, subPath: logs}
  {{- if include "gpupack.ownServer" . }}
  - {name: shared-memory, mountPath: /dev/shm}
  - name: models
    mountPath: /models
    readOnly: true
    {{- with .Values.modelRepository.subPath }}
    subPath: {{ . | quote }}
    {{- end }}
  {{- end }}
  {{- if and (eq .Values.mode "plan") .Values.plan.request }}
  - {name: request, mountPath: /request, readOnly: true}
  {{- end }}
  {{- with .Values.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
