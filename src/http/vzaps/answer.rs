//! What answers look like.

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::extract::Json;

/// The envelope of answers about webhooks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VzapsEnvelope<T> {
    /// The status once more.
    #[schema(example = 200)]
    code: u16,
    /// True.
    #[schema(example = true)]
    success: bool,
    /// What was asked for.
    data: T,
}

/// `data` in the envelope.
pub(super) fn enveloped<T>(data: T) -> Json<VzapsEnvelope<T>> {
    Json(VzapsEnvelope {
        code: 200,
        success: true,
        data,
    })
}

/// An answer about instances: its fields, and the envelope with the same fields beside them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VzapsBoth<T> {
    /// The envelope.
    #[serde(flatten)]
    envelope: VzapsEnvelope<T>,
    /// What was asked for.
    #[serde(flatten)]
    bare: T,
}

/// `data` bare and in the envelope.
pub(super) fn both<T: Clone>(code: u16, data: T) -> Json<VzapsBoth<T>> {
    let envelope = VzapsEnvelope {
        code,
        success: true,
        data: data.clone(),
    };
    Json(VzapsBoth {
        envelope,
        bare: data,
    })
}
