//! Kind: what is watched.

/// A kind of objects of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The pods of the node.
    Pods,
    /// LogSinks, of the cluster.
    LogSinks,
    /// LogTenants, of the cluster.
    LogTenants,
    /// ClusterLogConfigs, of the cluster.
    ClusterLogConfigs,
    /// LogConfigs, of all namespaces.
    LogConfigs,
    /// ClusterAliyunPipelineConfigs, of the cluster, of Alibaba's agent; watched only where they are asked for.
    ClusterAliyunPipelineConfigs,
    /// AliyunLogConfigs, of all namespaces; as those.
    AliyunLogConfigs,
    /// Namespaces; watched only where something is selected by their labels.
    Namespaces,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 8] = [
        Kind::Pods,
        Kind::LogSinks,
        Kind::LogTenants,
        Kind::ClusterLogConfigs,
        Kind::LogConfigs,
        Kind::ClusterAliyunPipelineConfigs,
        Kind::AliyunLogConfigs,
        Kind::Namespaces,
    ];
    /// Those that are resources of logferry.
    pub const RESOURCES: [Kind; 4] =
        [Kind::LogSinks, Kind::LogTenants, Kind::ClusterLogConfigs, Kind::LogConfigs];
    /// Those of Alibaba's agent, which become LogConfigs. Nothing depends on them.
    pub const ALIYUN: [Kind; 2] = [Kind::ClusterAliyunPipelineConfigs, Kind::AliyunLogConfigs];

    /// Whether it is one of [`Kind::ALIYUN`].
    #[must_use]
    pub fn is_aliyun(self) -> bool {
        Kind::ALIYUN.contains(&self)
    }

    /// `apiVersion` of its objects.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            Kind::Pods | Kind::Namespaces => "v1",
            Kind::ClusterAliyunPipelineConfigs => "telemetry.alibabacloud.com/v1alpha1",
            Kind::AliyunLogConfigs => "log.alibabacloud.com/v1alpha1",
            _ => "logferry.dev/v1alpha1",
        }
    }

    /// As the API server calls it in URLs and rights.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Kind::Pods => "pods",
            Kind::LogSinks => "logsinks",
            Kind::LogTenants => "logtenants",
            Kind::ClusterLogConfigs => "clusterlogconfigs",
            Kind::LogConfigs => "logconfigs",
            Kind::ClusterAliyunPipelineConfigs => "clusteraliyunpipelineconfigs",
            Kind::AliyunLogConfigs => "aliyunlogconfigs",
            Kind::Namespaces => "namespaces",
        }
    }

    /// As `kind` says, of a resource.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Pods => "Pod",
            Kind::LogSinks => "LogSink",
            Kind::LogTenants => "LogTenant",
            Kind::ClusterLogConfigs => "ClusterLogConfig",
            Kind::LogConfigs => "LogConfig",
            Kind::ClusterAliyunPipelineConfigs => "ClusterAliyunPipelineConfig",
            Kind::AliyunLogConfigs => "AliyunLogConfig",
            Kind::Namespaces => "Namespace",
        }
    }

    /// The kind of that plural.
    #[must_use]
    pub fn of_plural(plural: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|it| it.plural() == plural)
    }

    /// Path of all objects of the kind, whatever their namespace.
    pub(crate) fn url_path(self) -> String {
        match self {
            Kind::Pods | Kind::Namespaces => format!("/api/v1/{}", self.plural()),
            _ => format!("/apis/{}/{}", self.api_version(), self.plural()),
        }
    }
}
