//! Rates: how much may be read in a second, of the node, a tenant, a LogConfig or a container alike.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{ByteSize, Period};

/// How much may be read in a second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateSpec {
    /// Most bytes of files a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<ByteSize>,
    /// Most records a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_per_second: Option<u32>,
    /// What was not used of so much time may be used at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<Period>,
}
