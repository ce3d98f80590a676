{{/* Names, labels and the image, for the other templates. */}}

{{- define "logferry.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" -}}
{{- end }}

{{- define "logferry.fullname" -}}
{{- $name := include "logferry.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "logferry.selector" -}}
app.kubernetes.io/name: {{ include "logferry.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "logferry.labels" -}}
{{ include "logferry.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "logferry.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "logferry.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "logferry.priorityClass" -}}
{{- if .Values.priorityClass.create -}}
{{- default (include "logferry.fullname" .) .Values.priorityClass.name -}}
{{- else -}}
{{- .Values.priorityClass.name -}}
{{- end -}}
{{- end }}

{{- define "logferry.image" -}}
{{- with .Values.image -}}
{{- $name := ternary (printf "%s/%s" (trimSuffix "/" .registry) .repository) .repository (ne .registry "") -}}
{{- if .digest -}}
{{- printf "%s@%s" $name .digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* One resource of the agent's configuration: [kind, name, namespace or "", spec]. */}}
{{- define "logferry.resource" -}}
---
apiVersion: logferry.dev/v1alpha1
kind: {{ index . 0 }}
metadata:
  name: {{ index . 1 }}
  {{- with index . 2 }}
  namespace: {{ . }}
  {{- end }}
spec:
  {{- toYaml (index . 3) | nindent 2 }}
{{ end }}

{{/* Not empty if there is an operator: without the Kubernetes API there is nothing for it to do. */}}
{{- define "logferry.hasOperator" -}}
{{- if and .Values.operator.enabled .Values.kubernetesApi.enabled -}}yes{{- end -}}
{{- end }}

{{- define "logferry.operator" -}}
{{- printf "%s-operator" (include "logferry.fullname" .) -}}
{{- end }}

{{/* Another name than the agents': what selects these selects no operator. */}}
{{- define "logferry.operatorSelector" -}}
app.kubernetes.io/name: {{ include "logferry.name" . }}-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "logferry.operatorLabels" -}}
{{ include "logferry.operatorSelector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "logferry.operatorImage" -}}
{{- $image := merge (dict) .Values.operator.image (omit .Values.image "repository" "digest") -}}
{{- include "logferry.image" (dict "Values" (dict "image" $image) "Chart" .Chart) -}}
{{- end }}

{{/* Of the log disks' driver and holder: [context, which]. Other names than the agents': what selects these selects neither. */}}
{{- define "logferry.logDiskSelector" -}}
app.kubernetes.io/name: {{ include "logferry.name" (index . 0) }}-{{ index . 1 }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
{{- end }}

{{- define "logferry.logDiskLabels" -}}
{{- $root := index . 0 -}}
{{ include "logferry.logDiskSelector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end }}

{{- define "logferry.logDiskImage" -}}
{{- $image := merge (dict) .Values.logDisk.image (omit .Values.image "repository" "digest") -}}
{{- include "logferry.image" (dict "Values" (dict "image" $image) "Chart" .Chart) -}}
{{- end }}

{{/* What their pods have in common: they are on the agents' nodes, and ask the API server for nothing. */}}
{{- define "logferry.logDiskPod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with include "logferry.priorityClass" . }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
