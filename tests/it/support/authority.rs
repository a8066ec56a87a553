//! A certificate authority of a test's own.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::NamedTempFile;
use tokio_rustls::TlsAcceptor;

/// Numbers the authorities of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// An authority that nobody trusts unless its `ca_file` is configured.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    ca_file: NamedTempFile,
}

/// A server's certificate with its key.
pub(crate) struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        // By its name an issuer is found among the trusted ones, so two of the same name would be taken for one.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        params
            .distinguished_name
            .push(DnType::CommonName, format!("test authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut ca_file = NamedTempFile::new().unwrap();
        ca_file.write_all(issuer.pem().as_bytes()).unwrap();
        Self { issuer, ca_file }
    }

    /// What `egress.ca_file` takes.
    pub(crate) fn ca_file(&self) -> &Path {
        self.ca_file.path()
    }

    /// A certificate for `name`, good now.
    pub(crate) fn certificate(&self, name: &str) -> Certificate {
        self.issue(&CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    /// A certificate for `name` whose time is over.
    pub(crate) fn expired(&self, name: &str) -> Certificate {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        self.issue(&params)
    }

    fn issue(&self, params: &CertificateParams) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Certificate {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    }
}

impl Certificate {
    /// The server's side of TLS, with HTTP/2 preferred.
    pub(super) fn acceptor(self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain, self.key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}
