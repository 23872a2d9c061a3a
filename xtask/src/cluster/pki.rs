//! The cluster's certificates: two authorities, and a key with a certificate for each who speaks or listens.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use super::layout::{API_SERVICE, DOMAIN, Layout};

/// A certificate to be made. `file` is its name in `pki/`, without `.crt` and `.key`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) file: String,
    /// The user's name to the API server.
    pub(crate) common_name: String,
    /// The user's group to the API server.
    pub(crate) organization: Option<&'static str>,
    pub(crate) dns: Vec<String>,
    pub(crate) addresses: Vec<Ipv4Addr>,
    /// Listens with it, too; every one of them may speak.
    pub(crate) server: bool,
}

impl Request {
    fn client(file: &str, common_name: &str, organization: Option<&'static str>) -> Self {
        Self {
            file: file.into(),
            common_name: common_name.into(),
            organization,
            dns: Vec::new(),
            addresses: Vec::new(),
            server: false,
        }
    }

    fn server(file: &str, common_name: &str, dns: Vec<String>, addresses: Vec<Ipv4Addr>) -> Self {
        Self { dns, addresses, server: true, ..Self::client(file, common_name, None) }
    }
}

/// All certificates the cluster's own authority signs. Names and groups are those Kubernetes' built-in RBAC knows.
pub(crate) fn requests(layout: &Layout) -> Vec<Request> {
    let mut names: Vec<String> = vec!["localhost".into(), "kubernetes".into(), "kubernetes.default".into()];
    names.push("kubernetes.default.svc".into());
    names.push(format!("kubernetes.default.svc.{DOMAIN}"));
    let mut all = vec![
        Request::server(
            "apiserver",
            "kube-apiserver",
            names,
            vec![Ipv4Addr::LOCALHOST, API_SERVICE, layout.api_address()],
        ),
        Request::client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", None),
        Request::client("admin", "kubernetes-admin", Some("system:masters")),
        Request::client("controller-manager", "system:kube-controller-manager", None),
        Request::client("scheduler", "system:kube-scheduler", None),
        Request::client("proxy", "system:kube-proxy", None),
    ];
    for node in 0..layout.nodes {
        let name = layout.node_name(node);
        let user = format!("system:node:{name}");
        all.push(Request::client(&format!("kubelet-{}", node + 1), &user, Some("system:nodes")));
        let file = format!("kubelet-{}-server", node + 1);
        all.push(Request::server(&file, &user, vec![name], vec![layout.node_address(node)]));
    }
    all
}

/// Makes every key and certificate of the cluster in its `pki` folder.
pub(crate) fn write(layout: &Layout) -> Result<()> {
    let dir = layout.dir.join("pki");
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
    let authority = authority(&dir, "ca", "nodeapp local cluster")?;
    for request in requests(layout) {
        sign(&dir, &request, &authority)?;
    }
    // The API server introduces itself to extension API servers by an authority of its own.
    let front = self::authority(&dir, "front-proxy-ca", "nodeapp local cluster front proxy")?;
    sign(&dir, &Request::client("front-proxy-client", "front-proxy-client", None), &front)?;
    // Signs the tokens of service accounts; no certificate, only the pair.
    let accounts = KeyPair::generate()?;
    write_private(&dir.join("sa.key"), &accounts.serialize_pem())?;
    fs::write(dir.join("sa.pub"), accounts.public_key_pem())?;
    Ok(())
}

fn authority(dir: &Path, file: &str, name: &str) -> Result<Issuer<'static, KeyPair>> {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    fs::write(dir.join(format!("{file}.crt")), params.self_signed(&key)?.pem())?;
    write_private(&dir.join(format!("{file}.key")), &key.serialize_pem())?;
    Ok(Issuer::new(params, key))
}

fn sign(dir: &Path, request: &Request, authority: &Issuer<'_, KeyPair>) -> Result<()> {
    let mut params = params(&request.common_name);
    if let Some(organization) = request.organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    if request.server {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    for name in &request.dns {
        params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
    }
    for address in &request.addresses {
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(*address)));
    }
    let key = KeyPair::generate()?;
    fs::write(dir.join(format!("{}.crt", request.file)), params.signed_by(&key, authority)?.pem())?;
    write_private(&dir.join(format!("{}.key", request.file)), &key.serialize_pem())
}

/// Fixed dates: the certificates live as long as their cluster, and a wrong clock shall not matter.
fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2099, 12, 31);
    params
}

/// Writes a file only its owner may read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::layout::example;
    use super::*;

    fn find<'a>(all: &'a [Request], file: &str) -> &'a Request {
        all.iter().find(|request| request.file == file).expect("requested")
    }

    #[test]
    fn api_server_is_valid_for_host_pods_and_itself() {
        let all = requests(&example(1));
        let api = find(&all, "apiserver");
        assert!(api.server);
        assert_eq!(
            api.addresses,
            ["127.0.0.1", "10.96.0.1", "198.18.3.2"].map(|a| a.parse::<Ipv4Addr>().expect("ip"))
        );
        assert!(api.dns.contains(&"kubernetes.default.svc".to_owned()));
    }

    #[test]
    fn each_kubelet_is_a_node_to_the_node_authorizer() {
        let all = requests(&example(2));
        for (file, name) in [("kubelet-1", "system:node:dev-1"), ("kubelet-2", "system:node:dev-2")] {
            let kubelet = find(&all, file);
            assert_eq!((kubelet.common_name.as_str(), kubelet.organization), (name, Some("system:nodes")));
        }
        assert_eq!(find(&all, "kubelet-2-server").addresses, ["198.18.3.3".parse::<Ipv4Addr>().expect("ip")]);
    }

    #[test]
    fn only_the_admin_is_beyond_rbac() {
        let masters: Vec<_> =
            requests(&example(1)).into_iter().filter(|r| r.organization == Some("system:masters")).collect();
        assert_eq!(masters.len(), 1);
        assert_eq!(masters[0].file, "admin");
    }

    #[test]
    fn keys_are_for_their_owner_only() {
        let dir = tempfile::tempdir().expect("folder");
        let layout = Layout { dir: dir.path().into(), ..example(1) };
        write(&layout).expect("made");
        for file in ["ca.key", "admin.key", "sa.key", "kubelet-1-server.key", "front-proxy-client.key"] {
            let mode =
                fs::metadata(dir.path().join("pki").join(file)).expect("is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }
}
