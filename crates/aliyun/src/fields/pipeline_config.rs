//! Fields of ClusterAliyunPipelineConfig.

use super::{EXTRA_TAGS, Field, OF_SERVER, OF_TOPIC, PARSING, honoured, not_applicable, not_yet};

/// All of them.
pub(super) const FIELDS: &[Field] = &[
    honoured("apiVersion", "`telemetry.alibabacloud.com/v1alpha1`"),
    honoured("kind", "`ClusterAliyunPipelineConfig`"),
    honoured("metadata", "the name is that of the ClusterLogConfig"),
    not_applicable("status", "written by Alibaba's controller"),
    not_applicable("spec.project", OF_SERVER),
    not_applicable("spec.logstores", OF_SERVER),
    not_applicable("spec.machineGroups", "which nodes collect is said by the DaemonSet"),
    not_applicable("spec.enableUpgradeOverride", "nothing is taken over from an older object"),
    not_applicable("spec.config.sample", OF_SERVER),
    not_applicable("spec.config.global.EnableTimestampNanosecond", "times always have nanoseconds"),
    not_applicable("spec.config.global.UsingOldContentTag", "records have OpenTelemetry's names"),
    not_yet(
        "spec.config.global.TopicType",
        "topics out of paths; each record has its path",
        &["none"],
    ),
    not_yet("spec.config.global.TopicFormat", "topics out of paths; each record has its path", &[]),
    not_yet("spec.config.global.PipelineMetaTagKey", "other names for tags", &[]),
    not_yet("spec.config.global.AgentEnvMetaTagKey", "other names for tags", &[]),
    honoured("spec.config.inputs[].Type", "`input_file` or `input_container_stdio`"),
    // Files.
    honoured("spec.config.inputs[].FilePaths", "`files.include`"),
    honoured(
        "spec.config.inputs[].MaxDirSearchDepth",
        "how many folders `**` stands for; above 8 any number",
    ),
    not_applicable(
        "spec.config.inputs[].MaxCheckpointDirSearchDepth",
        "files are known by what they are, not by where they lie",
    ),
    honoured("spec.config.inputs[].ExcludeFilePaths", "`files.exclude`"),
    honoured("spec.config.inputs[].ExcludeFiles", "`files.exclude`"),
    honoured("spec.config.inputs[].ExcludeDirs", "`files.exclude`"),
    honoured(
        "spec.config.inputs[].FileEncoding",
        "`utf8` and `utf16`; `gbk` is delivered as the bytes that it is, which is noted",
    ),
    not_yet(
        "spec.config.inputs[].TailSizeKB",
        "to begin so far before the end; new files are read from their first byte",
        &[],
    ),
    honoured("spec.config.inputs[].FlushTimeoutSecs", "`line.flushTimeout`, 300 s at most"),
    not_applicable(
        "spec.config.inputs[].ReadDelayAlertThresholdBytes",
        "metrics say how far behind each tenant is",
    ),
    not_applicable(
        "spec.config.inputs[].CloseUnusedReaderIntervalSec",
        "the Agent's `openFilesMax`",
    ),
    not_applicable("spec.config.inputs[].RotatorQueueSize", "every generation of a file is read"),
    not_applicable(
        "spec.config.inputs[].EnableExactlyOnce",
        "into Kafka and the embedded queue, delivery is always exactly once",
    ),
    not_yet(
        "spec.config.inputs[].AllowingIncludedByMultiConfigs",
        "a file for several LogConfigs; the first by name has it",
        &["false"],
    ),
    not_applicable(
        "spec.config.inputs[].AllowingCollectingFilesInRootDir",
        "globs may begin anywhere",
    ),
    not_applicable("spec.config.inputs[].AppendingLogPositionMeta", "each record has its cursor"),
    honoured(
        "spec.config.inputs[].EnableContainerDiscovery",
        "files inside of containers; without it the host's",
    ),
    not_applicable(
        "spec.config.inputs[].CollectingContainersMeta",
        "each context has pod and container",
    ),
    not_yet("spec.config.inputs[].Tags", "other names for tags", &[]),
    // Standard output.
    honoured("spec.config.inputs[].IgnoringStdout", "`streams`"),
    honoured("spec.config.inputs[].IgnoringStderr", "`streams`"),
    not_applicable(
        "spec.config.inputs[].KeepingSourceWhenParseFail",
        "a line that is not as the runtime writes them is delivered as it is",
    ),
    // Both.
    honoured(
        "spec.config.inputs[].Multiline.Mode",
        "`custom`; others are noted and leave each line a record",
    ),
    honoured(
        "spec.config.inputs[].Multiline.StartPattern",
        "`multiline.begin`, from the line's first character on",
    ),
    honoured(
        "spec.config.inputs[].Multiline.ContinuePattern",
        "`multiline.continue`, without `StartPattern`",
    ),
    honoured(
        "spec.config.inputs[].Multiline.EndPattern",
        "`multiline.end`, without the two others",
    ),
    not_yet(
        "spec.config.inputs[].Multiline.UnmatchedContentTreatment",
        "to discard lines that begin no record; they are delivered",
        &["single_line"],
    ),
    not_applicable(
        "spec.config.inputs[].Multiline.IgnoringUnmatchWarning",
        "there is no such warning",
    ),
    not_yet("spec.config.inputs[].Multiline.MaxWholeFileBytes", "a file as one record", &[]),
    honoured("spec.config.inputs[].ContainerFilters.K8sNamespaceRegex", "`namespaces`"),
    honoured("spec.config.inputs[].ContainerFilters.K8sPodRegex", "`pods`"),
    honoured("spec.config.inputs[].ContainerFilters.K8sContainerRegex", "`containers`"),
    honoured(
        "spec.config.inputs[].ContainerFilters.IncludeK8sLabel",
        "`podSelector`; several become a ClusterLogConfig each",
    ),
    honoured("spec.config.inputs[].ContainerFilters.ExcludeK8sLabel", "`podSelector`"),
    honoured("spec.config.inputs[].ContainerFilters.IncludeEnv", "`env.include`"),
    honoured("spec.config.inputs[].ContainerFilters.ExcludeEnv", "`env.exclude`"),
    honoured(
        "spec.config.inputs[].ContainerFilters.IncludeContainerLabel",
        "names of namespace, pod and container; others are refused",
    ),
    honoured(
        "spec.config.inputs[].ContainerFilters.ExcludeContainerLabel",
        "see `IncludeContainerLabel`",
    ),
    not_yet("spec.config.inputs[].ExternalK8sLabelTag", EXTRA_TAGS, &[]),
    not_yet("spec.config.inputs[].ExternalEnvTag", EXTRA_TAGS, &[]),
    not_yet("spec.config.processors", PARSING, &[]),
    not_applicable("spec.config.aggregators", "batches are cut by tenant and sink"),
    honoured("spec.config.flushers[].Logstore", OF_TOPIC),
    not_applicable("spec.config.flushers[].Type", "where records go says the LogSink"),
    not_applicable("spec.config.flushers[].Endpoint", OF_SERVER),
    not_applicable("spec.config.flushers[].Region", OF_SERVER),
    not_applicable("spec.config.flushers[].Project", OF_SERVER),
    not_applicable("spec.config.flushers[].TelemetryType", OF_SERVER),
];
