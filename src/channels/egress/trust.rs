//! Whose certificates are believed: the system's authorities, and those of `egress.ca_file`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Why `egress.ca_file` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CannotTrust {
    /// It cannot be read, or is not PEM.
    #[error("egress.ca_file {path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What reading it said.
        cause: rustls::pki_types::pem::Error,
    },
    /// It holds no certificate.
    #[error("egress.ca_file {path} holds no certificate (`-----BEGIN CERTIFICATE-----`)")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It holds a certificate that is none.
    #[error("egress.ca_file {path}: {cause}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: rustls::Error,
    },
    /// The TLS library and its cryptography do not fit together.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// TLS for the client, HTTP/2 preferred.
///
/// Not reqwest's own: it refuses to start on a system without authorities, where plain http would do, and it takes the process's
/// default cryptography, which would make the order of initialisation matter.
pub(super) fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, CannotTrust> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities(ca_file)?)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn authorities(ca_file: Option<&Path>) -> Result<RootCertStore, CannotTrust> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    // A system's store often holds a few that the library does not take; those it does are enough.
    let (added, _) = roots.add_parsable_certificates(native.certs);
    if added == 0 {
        tracing::warn!(
            "the system trusts no certificate authority: https endpoints fail unless egress.ca_file names one (Debian: package ca-certificates)"
        );
    }
    if let Some(path) = ca_file {
        add_file(&mut roots, path)?;
    }
    Ok(roots)
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), CannotTrust> {
    let unreadable = |cause| CannotTrust::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let mut added = 0;
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let certificate = certificate.map_err(unreadable)?;
        roots
            .add(certificate)
            .map_err(|cause| CannotTrust::Invalid {
                path: path.to_owned(),
                cause,
            })?;
        added += 1;
    }
    if added == 0 {
        return Err(CannotTrust::Empty {
            path: path.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_that_is_missing_empty_or_broken_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let check = |content: Option<&str>| {
            let path = folder.path().join("ca.pem");
            if let Some(content) = content {
                std::fs::write(&path, content).unwrap();
            }
            let error = tls(Some(&path)).unwrap_err().to_string();
            assert!(
                error.contains("egress.ca_file") && error.contains("ca.pem"),
                "{error}"
            );
        };
        check(None);
        check(Some("not a certificate"));
        check(Some(
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ));
        check(Some(
            "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n",
        ));
    }
}
