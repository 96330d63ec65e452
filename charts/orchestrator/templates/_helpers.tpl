{{- define "orchestrator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* Release and chart, unless one holds the other. At most 52 characters, so that what is appended fits 63. */ -}}
{{- define "orchestrator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What has no namespace is named by the release's, so that no two releases share it: neither has a dot. */ -}}
{{- define "orchestrator.clusterName" -}}
{{- printf "%s.%s" .Release.Namespace (include "orchestrator.fullname" .) }}
{{- end }}

{{- define "orchestrator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "orchestrator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "orchestrator.labels" -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/name" (include "orchestrator.name" .)
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/part-of" "orchestrator"
  "app.kubernetes.io/managed-by" .Release.Service }}
{{- toYaml (merge $own .Values.commonLabels) }}
{{- end }}

{{- /* Labels, and annotations where there are any. Takes (list . {annotations}) */ -}}
{{- define "orchestrator.metadata" -}}
{{- $root := index . 0 }}
{{- $annotations := merge (dict) (default (dict) (index . 1)) $root.Values.commonAnnotations -}}
labels:
  {{- include "orchestrator.labels" $root | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "orchestrator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "orchestrator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is required when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "orchestrator.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "orchestrator.isNamespaced" -}}
{{- if eq .Values.scope.type "Namespaced" }}true{{ end }}
{{- end }}

{{- define "orchestrator.namespaces" -}}
{{- $all := .Values.scope.namespaces }}
{{- if not $all }}{{ $all = list .Release.Namespace }}{{ end }}
{{- toYaml ($all | uniq | sortAlpha) }}
{{- end }}
