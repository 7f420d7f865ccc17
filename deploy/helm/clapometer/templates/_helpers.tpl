{{- define "clapometer.name" -}}
{{- printf "%s-%s" .Release.Name "clapometer" | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "clapometer.selector" -}}
app.kubernetes.io/name: clapometer
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "clapometer.labels" -}}
{{ include "clapometer.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "clapometer.bootstrap" -}}
{{- .Values.kafka.bootstrap | default (printf "%s-kafka-bootstrap:9093" .Values.kafka.cluster) -}}
{{- end }}

{{/* Address of the topic; secrets are in files, never in the address. */}}
{{- define "clapometer.log" -}}
{{- $k := .Values.kafka -}}
kafka://{{ include "clapometer.bootstrap" . }}/{{ $k.topic }}?security=sasl_ssl&sasl=scram-sha-512&username={{ $k.user }}&password_file=/etc/clapometer/kafka/password&ca_file=/etc/clapometer/kafka-ca/ca.crt&partitions={{ $k.partitions }}&replication={{ $k.replication }}&min_insync={{ $k.minInsync }}&retention_hours={{ $k.retentionHours }}
{{- end }}

{{/* When to train, as Kubernetes reads it; the same times as the program's own `schedule` (which also takes intervals). */}}
{{- define "clapometer.schedule" -}}
{{- $given := .Values.trainer.schedule | toString | trim -}}
{{- if has $given (list "@hourly" "@daily" "@midnight" "@weekly" "@monthly" "@yearly" "@annually") -}}
{{- $given -}}
{{- else -}}
{{- $fields := regexSplit "\\s+" $given -1 -}}
{{- if or (ne (len $fields) 5) (regexMatch "[?#=@]|(^|[, ])[0-9]+/" $given) -}}
{{- fail (printf "trainer.schedule: %q is no cron expression of five fields, such as */15 * * * * or 0 9 * * 1 (UTC); a CronJob knows no intervals" $given) -}}
{{- end -}}
{{- $day := index $fields 2 -}}
{{- $weekday := index $fields 4 -}}
{{- if and (ne $day "*") (ne $weekday "*") (or (hasPrefix "*/" $day) (hasPrefix "*/" $weekday)) -}}
{{- fail (printf "trainer.schedule: %q: a step from * beside another day field means either to Kubernetes and both to cron; list the days" $given) -}}
{{- end -}}
{{- $days := list -}}
{{- range splitList "," $weekday -}}
{{- if regexMatch "^7(-7)?$" . -}}
{{- $days = append $days "0" -}}
{{- else if regexMatch "^[0-6]-7$" . -}}
{{- $days = append (append $days (replace "-7" "-6" .)) "0" -}}
{{- else if regexMatch "7" . -}}
{{- fail (printf "trainer.schedule: day of the week %q: Sunday is 0 to Kubernetes, and 7 in a step is not; list the days" .) -}}
{{- else -}}
{{- $days = append $days . -}}
{{- end -}}
{{- end -}}
{{- join " " (append (initial $fields) (join "," $days)) -}}
{{- end -}}
{{- end }}

{{/* Pod of a part. Takes root, part, args, port (nil for none), own (its values), kafka, lake, keys. */}}
{{- define "clapometer.pod" -}}
{{- $root := .root -}}
serviceAccountName: {{ include "clapometer.name" $root }}
automountServiceAccountToken: false
terminationGracePeriodSeconds: 100
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- if ne .part "trainer" }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "clapometer.selector" . | nindent 8 }}
{{- end }}
containers:
  - name: {{ .part }}
    image: "{{ $root.Values.image.repository }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}"
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    args: {{ toJson .args }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    env:
      {{- range $name, $value := merge (dict) (.own.settings | default dict) $root.Values.settings }}
      - {name: {{ printf "CLAPOMETER_%s" (upper $name) }}, value: {{ $value | toString | quote }}}
      {{- end }}
      {{- if .keys }}
      - {name: CLAPOMETER_KEYS_FILE, value: /etc/clapometer/keys/keys.json}
      - {name: CLAPOMETER_TOKENS_FILE, value: /etc/clapometer/keys/tokens.json}
      {{- end }}
      {{- if .kafka }}
      - {name: CLAPOMETER_LOG, value: {{ include "clapometer.log" $root | quote }}}
      {{- end }}
      {{- if .lake }}
      - {name: CLAPOMETER_LAKE, value: {{ $root.Values.lake | quote }}}
      - {name: CLAPOMETER_LAKE_COPIES, value: /var/lib/clapometer/copies}
      {{- end }}
    {{- if and .lake $root.Values.lakeCredentialsSecret }}
    envFrom:
      - secretRef: {name: {{ $root.Values.lakeCredentialsSecret }}}
    {{- end }}
    {{- if .port }}
    ports:
      - {name: http, containerPort: {{ .port }}}
    {{- if eq .part "loader" }}
    readinessProbe:
      httpGet: {path: /metrics, port: http}
      periodSeconds: 10
    livenessProbe:
      httpGet: {path: /metrics, port: http}
    {{- else }}
    readinessProbe:
      httpGet: {path: /readyz, port: http}
      periodSeconds: 5
      timeoutSeconds: 5
    livenessProbe:
      httpGet: {path: /healthz, port: http}
    {{- end }}
      initialDelaySeconds: 30
      periodSeconds: 20
      timeoutSeconds: 10
      failureThreshold: 6
    {{- end }}
    resources:
      {{- toYaml .own.resources | nindent 6 }}
    volumeMounts:
      {{- if .keys }}
      - {name: keys, mountPath: /etc/clapometer/keys, readOnly: true}
      {{- end }}
      - {name: tmp, mountPath: /tmp}
      {{- if .kafka }}
      - {name: kafka, mountPath: /etc/clapometer/kafka, readOnly: true}
      - {name: kafka-ca, mountPath: /etc/clapometer/kafka-ca, readOnly: true}
      {{- end }}
      {{- if .lake }}
      - {name: copies, mountPath: /var/lib/clapometer/copies}
      {{- end }}
volumes:
  {{- if .keys }}
  - name: keys
    secret: {secretName: {{ $root.Values.keysSecret }}, defaultMode: 0440}
  {{- end }}
  - name: tmp
    emptyDir: {}
  {{- if .kafka }}
  - name: kafka
    secret: {secretName: {{ $root.Values.kafka.user }}, defaultMode: 0440}
  - name: kafka-ca
    secret: {secretName: {{ $root.Values.kafka.cluster }}-cluster-ca-cert, defaultMode: 0440}
  {{- end }}
  {{- if .lake }}
  - name: copies
    emptyDir: {sizeLimit: {{ .own.copies }}}
  {{- end }}
{{- end }}

{{- define "clapometer.scrape" -}}
prometheus.io/scrape: "true"
prometheus.io/path: /metrics
prometheus.io/port: {{ . | quote }}
{{- end }}
