//! Fields of AliyunLogConfig.

use super::{
    EXTRA_TAGS, Field, MASKING, OF_SERVER, OF_TOPIC, PARSING, honoured, not_applicable, not_yet,
    refused,
};

/// All of them.
pub(super) const FIELDS: &[Field] = &[
    honoured("apiVersion", "`log.alibabacloud.com/v1alpha1`"),
    honoured("kind", "`AliyunLogConfig`"),
    honoured("metadata", "name and namespace are those of the LogConfig"),
    not_applicable("status", "written by Alibaba's controller"),
    not_applicable("spec.project", OF_SERVER),
    honoured("spec.logstore", OF_TOPIC),
    not_applicable("spec.shardCount", OF_SERVER),
    not_applicable("spec.lifeCycle", OF_SERVER),
    not_applicable("spec.machineGroups", "which nodes collect is said by the DaemonSet"),
    not_applicable("spec.logstoreMode", OF_SERVER),
    not_applicable("spec.logstoreMaxSplitShard", OF_SERVER),
    not_applicable("spec.logstoreAutoSplit", OF_SERVER),
    not_applicable("spec.logstoreHotTTL", OF_SERVER),
    not_applicable("spec.logstoreTelemetryType", OF_SERVER),
    not_applicable("spec.logstoreAppendMeta", OF_SERVER),
    not_applicable("spec.logstoreEnableTracking", OF_SERVER),
    not_applicable("spec.enableTracking", OF_SERVER),
    not_applicable("spec.logstoreEncryptConf", OF_SERVER),
    not_applicable("spec.logstoreMeteringMode", OF_SERVER),
    not_applicable("spec.productCode", OF_SERVER),
    not_applicable("spec.productLang", OF_SERVER),
    not_applicable("spec.configTags", OF_SERVER),
    not_applicable("spec.uid", OF_SERVER),
    not_applicable("spec.endpoint", OF_SERVER),
    not_applicable("spec.logtailConfig.configName", "the LogConfig has the object's own name"),
    not_applicable("spec.logtailConfig.logSample", OF_SERVER),
    honoured("spec.logtailConfig.inputType", "`file` or `plugin`"),
    // Files.
    not_yet("spec.logtailConfig.inputDetail.logType", PARSING, &["common_reg_log"]),
    honoured(
        "spec.logtailConfig.inputDetail.logPath",
        "with `filePattern` the globs of `files.include`",
    ),
    honoured("spec.logtailConfig.inputDetail.filePattern", "see `logPath`"),
    honoured(
        "spec.logtailConfig.inputDetail.maxDepth",
        "how many folders a glob goes down; above 8 any number",
    ),
    honoured(
        "spec.logtailConfig.inputDetail.dockerFile",
        "files inside of containers; without it the host's, for a ClusterLogConfig alone",
    ),
    honoured(
        "spec.logtailConfig.inputDetail.dockerIncludeLabel",
        "names of namespace, pod and container; others are refused",
    ),
    honoured("spec.logtailConfig.inputDetail.dockerExcludeLabel", "see `dockerIncludeLabel`"),
    honoured("spec.logtailConfig.inputDetail.dockerIncludeEnv", "`env.include`"),
    honoured("spec.logtailConfig.inputDetail.dockerExcludeEnv", "`env.exclude`"),
    honoured(
        "spec.logtailConfig.inputDetail.fileEncoding",
        "`utf8` and `utf16`; `gbk` is delivered as the bytes that it is, which is noted",
    ),
    honoured(
        "spec.logtailConfig.inputDetail.logBeginRegex",
        "`multiline.begin`, of the whole line",
    ),
    not_applicable("spec.logtailConfig.inputDetail.preserve", "no file is given up for its age"),
    not_applicable(
        "spec.logtailConfig.inputDetail.preserveDepth",
        "no file is given up for its age",
    ),
    not_yet(
        "spec.logtailConfig.inputDetail.topicFormat",
        "topics out of paths; each record has its path",
        &["none", "default"],
    ),
    not_yet("spec.logtailConfig.inputDetail.timeFormat", PARSING, &[]),
    not_yet("spec.logtailConfig.inputDetail.timeKey", PARSING, &[]),
    not_yet("spec.logtailConfig.inputDetail.key", PARSING, &["[\"content\"]"]),
    not_yet("spec.logtailConfig.inputDetail.regex", PARSING, &["(.*)", ".*"]),
    not_yet("spec.logtailConfig.inputDetail.separator", PARSING, &[]),
    not_yet("spec.logtailConfig.inputDetail.quote", PARSING, &[]),
    not_yet("spec.logtailConfig.inputDetail.autoExtend", PARSING, &[]),
    not_applicable(
        "spec.logtailConfig.inputDetail.discardUnmatch",
        "without parsing nothing is unmatched, and nothing is discarded",
    ),
    not_applicable(
        "spec.logtailConfig.inputDetail.enableRawLog",
        "the line is always there as it was written",
    ),
    not_yet("spec.logtailConfig.inputDetail.adjustTimezone", PARSING, &["false"]),
    not_yet("spec.logtailConfig.inputDetail.logTimezone", PARSING, &[]),
    not_yet(
        "spec.logtailConfig.inputDetail.delaySkipBytes",
        "to give up what is too far behind; a tenant's `maxLag` with `atLimit: shedOldest` does",
        &["0"],
    ),
    not_yet(
        "spec.logtailConfig.inputDetail.filterKey",
        "filters of records; more is delivered than asked for",
        &[],
    ),
    not_yet(
        "spec.logtailConfig.inputDetail.filterRegex",
        "filters of records; more is delivered than asked for",
        &[],
    ),
    refused("spec.logtailConfig.inputDetail.sensitive_keys", MASKING, &[]),
    not_applicable("spec.logtailConfig.inputDetail.shardHashKey", OF_SERVER),
    not_applicable(
        "spec.logtailConfig.inputDetail.mergeType",
        "batches are cut by tenant and sink",
    ),
    not_applicable(
        "spec.logtailConfig.inputDetail.delayAlarmBytes",
        "metrics say how far behind each tenant is",
    ),
    not_applicable(
        "spec.logtailConfig.inputDetail.localStorage",
        "files are the buffer, and the spool",
    ),
    honoured(
        "spec.logtailConfig.inputDetail.maxSendRate",
        "`limits.bytesPerSecond`; -1 and 0 for none",
    ),
    not_yet("spec.logtailConfig.inputDetail.sendRateExpire", "a limit that ends", &["0"]),
    not_yet("spec.logtailConfig.inputDetail.priority", "an order among LogConfigs", &["0"]),
    // Files, advanced.
    not_applicable(
        "spec.logtailConfig.inputDetail.advanced.exactly_once_concurrency",
        "into Kafka and the embedded queue, delivery is always exactly once",
    ),
    not_applicable(
        "spec.logtailConfig.inputDetail.advanced.enable_log_position_meta",
        "each record has its cursor",
    ),
    not_yet("spec.logtailConfig.inputDetail.advanced.specified_year", PARSING, &[]),
    not_yet(
        "spec.logtailConfig.inputDetail.advanced.force_multiconfig",
        "a file for several LogConfigs; the first by name has it",
        &["false"],
    ),
    not_yet("spec.logtailConfig.inputDetail.advanced.raw_log_tag", PARSING, &[]),
    honoured("spec.logtailConfig.inputDetail.advanced.blacklist.dir_blacklist", "`files.exclude`"),
    honoured(
        "spec.logtailConfig.inputDetail.advanced.blacklist.filename_blacklist",
        "`files.exclude`",
    ),
    honoured(
        "spec.logtailConfig.inputDetail.advanced.blacklist.filepath_blacklist",
        "`files.exclude`",
    ),
    not_yet(
        "spec.logtailConfig.inputDetail.advanced.tail_size_kb",
        "to begin so far before the end; new files are read from their first byte",
        &[],
    ),
    not_applicable(
        "spec.logtailConfig.inputDetail.advanced.batch_send_interval",
        "`batch` of the LogSink",
    ),
    not_applicable(
        "spec.logtailConfig.inputDetail.advanced.max_rotate_queue_size",
        "every generation of a file is read",
    ),
    honoured(
        "spec.logtailConfig.inputDetail.advanced.k8s.K8sNamespaceRegex",
        "`namespaces`; of a LogConfig just its own",
    ),
    honoured("spec.logtailConfig.inputDetail.advanced.k8s.K8sPodRegex", "`pods`"),
    honoured("spec.logtailConfig.inputDetail.advanced.k8s.K8sContainerRegex", "`containers`"),
    honoured(
        "spec.logtailConfig.inputDetail.advanced.k8s.IncludeK8sLabel",
        "`podSelector`; several become a LogConfig each",
    ),
    honoured("spec.logtailConfig.inputDetail.advanced.k8s.ExcludeK8sLabel", "`podSelector`"),
    not_yet("spec.logtailConfig.inputDetail.advanced.k8s.ExternalK8sLabelTag", EXTRA_TAGS, &[]),
    not_yet("spec.logtailConfig.inputDetail.advanced.k8s.ExternalEnvTag", EXTRA_TAGS, &[]),
    // Standard output.
    honoured("spec.logtailConfig.inputDetail.plugin.inputs[].type", "`service_docker_stdout`"),
    honoured("spec.logtailConfig.inputDetail.plugin.inputs[].detail.Stdout", "`streams`"),
    honoured("spec.logtailConfig.inputDetail.plugin.inputs[].detail.Stderr", "`streams`"),
    honoured(
        "spec.logtailConfig.inputDetail.plugin.inputs[].detail.IncludeLabel",
        "names of namespace, pod and container; others are refused",
    ),
    honoured(
        "spec.logtailConfig.inputDetail.plugin.inputs[].detail.ExcludeLabel",
        "see `IncludeLabel`",
    ),
    honoured("spec.logtailConfig.inputDetail.plugin.inputs[].detail.IncludeEnv", "`env.include`"),
    honoured("spec.logtailConfig.inputDetail.plugin.inputs[].detail.ExcludeEnv", "`env.exclude`"),
    honoured(
        "spec.logtailConfig.inputDetail.plugin.inputs[].detail.K8sNamespaceRegex",
        "`namespaces`; of a LogConfig just its own",
    ),
    honoured("spec.logtailConfig.inputDetail.plugin.inputs[].detail.K8sPodRegex", "`pods`"),
    honoured(
        "spec.logtailConfig.inputDetail.plugin.inputs[].detail.K8sContainerRegex",
        "`containers`",
    ),
    honoured(
        "spec.logtailConfig.inputDetail.plugin.inputs[].detail.IncludeK8sLabel",
        "`podSelector`; several become a LogConfig each",
    ),
    honoured(
        "spec.logtailConfig.inputDetail.plugin.inputs[].detail.ExcludeK8sLabel",
        "`podSelector`",
    ),
    not_yet(
        "spec.logtailConfig.inputDetail.plugin.inputs[].detail.ExternalK8sLabelTag",
        EXTRA_TAGS,
        &[],
    ),
    not_yet(
        "spec.logtailConfig.inputDetail.plugin.inputs[].detail.ExternalEnvTag",
        EXTRA_TAGS,
        &[],
    ),
    honoured(
        "spec.logtailConfig.inputDetail.plugin.inputs[].detail.BeginLineRegex",
        "`multiline.begin`",
    ),
    honoured(
        "spec.logtailConfig.inputDetail.plugin.inputs[].detail.BeginLineTimeoutMs",
        "`multiline.timeout`",
    ),
    not_applicable(
        "spec.logtailConfig.inputDetail.plugin.inputs[].detail.BeginLineCheckLength",
        "an expression takes one step for each byte, and looks at the whole line",
    ),
    honoured(
        "spec.logtailConfig.inputDetail.plugin.inputs[].detail.MaxLogSize",
        "`multiline.maxBytes`, 256 KiB at most",
    ),
    not_applicable(
        "spec.logtailConfig.inputDetail.plugin.inputs[].detail.FlushIntervalMs",
        "`batch` of the LogSink",
    ),
    not_applicable(
        "spec.logtailConfig.inputDetail.plugin.inputs[].detail.ReadIntervalMs",
        "files are read when they change",
    ),
    not_applicable(
        "spec.logtailConfig.inputDetail.plugin.inputs[].detail.SaveCheckPointSec",
        "the Agent's `checkpointInterval`",
    ),
    not_applicable(
        "spec.logtailConfig.inputDetail.plugin.inputs[].detail.CloseUnChangedSec",
        "the Agent's `openFilesMax`",
    ),
    not_yet(
        "spec.logtailConfig.inputDetail.plugin.inputs[].detail.StartLogMaxOffset",
        "to begin so far before the end; new files are read from their first byte",
        &[],
    ),
    not_yet("spec.logtailConfig.inputDetail.plugin.processors", PARSING, &[]),
    not_applicable(
        "spec.logtailConfig.inputDetail.plugin.aggregators",
        "batches are cut by tenant and sink",
    ),
    not_applicable(
        "spec.logtailConfig.inputDetail.plugin.flushers",
        "where records go says the LogSink",
    ),
    not_applicable("spec.logtailConfig.inputDetail.plugin.global", "settings of Alibaba's agent"),
];
