//! `[egress]`: what deliveries may reach.

use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;

use super::fields;

/// What deliveries may reach.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// Networks allowed although they are not public.
    #[serde(deserialize_with = "fields::networks")]
    pub allow: Vec<IpNet>,
    /// Certificate authorities trusted beside the system's, PEM.
    #[serde(deserialize_with = "fields::path")]
    pub ca_file: Option<PathBuf>,
}
