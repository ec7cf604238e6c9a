{{/* Labels of an object: (list . "component"). */}}
{{- define "doorstep.labels" -}}
{{ include "doorstep.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{/* Labels that choose the pods of one component. */}}
{{- define "doorstep.selector" -}}
app.kubernetes.io/name: doorstep
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* A selector of the pods of all services. */}}
{{- define "doorstep.services" -}}
matchLabels:
  app.kubernetes.io/name: doorstep
  app.kubernetes.io/instance: {{ .Release.Name }}
matchExpressions:
  - { key: app.kubernetes.io/component, operator: In, values: {{ keys .Values.services | sortAlpha | toJson }} }
{{- end }}

{{/* What every pod of ours is: no rights in the cluster, a user without rights, spread over machines and zones. */}}
{{- define "doorstep.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with (index . 0).Values.imagePullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
topologySpreadConstraints:
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "doorstep.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}

{{- define "doorstep.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{/* At most one pod is away by a drain of machines: (list . "component" labels). */}}
{{- define "doorstep.disruption" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ index . 1 }}
  labels: {{- include "doorstep.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{- toYaml (index . 2) | nindent 6 }}
{{- end }}

{{/* Labels that the operators give the engines' pods. */}}
{{- define "doorstep.rabbitmq-pods" -}}
app.kubernetes.io/name: rabbitmq
app.kubernetes.io/component: rabbitmq
{{- end }}

{{- define "doorstep.mongodb-pods" -}}
app: mongodb-svc
{{- end }}

{{/* Where RabbitMQ is, by a name that KEDA in its own namespace can resolve too. */}}
{{- define "doorstep.rabbit-url" -}}
{{- if .Values.rabbitmq.enabled -}}
amqp://rabbitmq.{{ .Release.Namespace }}.svc:5672/doorstep
{{- else -}}
{{ required "rabbitmq.url: where RabbitMQ is, for example amqp://broker.example:5672/doorstep; or set rabbitmq.enabled=true" .Values.rabbitmq.url }}
{{- end -}}
{{- end }}

{{- define "doorstep.mongo-url" -}}
{{- if .Values.mongodb.enabled -}}
mongodb://mongodb-svc.{{ .Release.Namespace }}.svc:27017/?replicaSet=mongodb
{{- else -}}
{{ required "mongodb.url: where MongoDB is, for example mongodb://db.example:27017/?replicaSet=rs0; or set mongodb.enabled=true" .Values.mongodb.url }}
{{- end -}}
{{- end }}
