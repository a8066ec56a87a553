//! Which addresses may be called: what is globally routable, and what `egress.allow` lists.

use std::net::IpAddr;
use std::sync::LazyLock;

use ipnet::IpNet;

/// What is not the public internet: IANA's special-purpose registries, multicast, class E, and every form of IPv6 that hides an
/// IPv4 address. Such a form is refused wholly: nobody's receiver needs it, and each has carried somebody past a filter.
const REFUSED: [(&str, &str); 34] = [
    ("0.0.0.0/8", "\"this\" network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    (
        "169.254.0.0/16",
        "link-local, where clouds serve credentials",
    ),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved for protocols"),
    ("192.0.2.0/24", "for documentation"),
    // Routed, but to the nearest sink of reverse lookups: nobody has a server there.
    ("192.31.196.0/24", "an AS112 sink"),
    ("192.88.99.0/24", "a 6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("192.175.48.0/24", "an AS112 sink"),
    ("198.18.0.0/15", "for benchmarks"),
    ("198.51.100.0/24", "for documentation"),
    ("203.0.113.0/24", "for documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", "an IPv4 address in disguise"),
    ("::/96", "an IPv4 address in disguise"),
    ("64:ff9b::/96", "NAT64"),
    ("64:ff9b:1::/48", "NAT64"),
    // The whole /23: Teredo (2001::/32), benchmarks, ORCHID and other protocols live in it, web servers do not.
    ("2001::/23", "Teredo or reserved for protocols"),
    ("2001:db8::/32", "for documentation"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "for documentation"),
    ("fc00::/7", "unique-local"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
    // Global unicast is 2000::/3; these are what lies before and behind it.
    ("::/3", "not global unicast"),
    ("4000::/2", "not global unicast"),
    ("8000::/1", "not global unicast"),
];

/// The table, parsed. The first that contains an address says what it is.
static NOT_GLOBAL: LazyLock<Vec<(IpNet, &str)>> = LazyLock::new(|| {
    REFUSED
        .iter()
        .map(|(net, kind)| (net.parse().expect("the table holds networks"), *kind))
        .collect()
});

/// An address that may not be called. The message names it and the remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {kind}, and egress.allow does not list it")]
pub struct Refused {
    /// The address.
    pub address: IpAddr,
    /// What it is.
    pub kind: &'static str,
}

/// The rules with the exceptions that the operator made.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allow: Vec<IpNet>,
}

impl Guard {
    /// Rules with these networks excepted.
    pub fn new(allow: Vec<IpNet>) -> Self {
        Self { allow }
    }

    /// Whether `address` may be called.
    pub fn check(&self, address: IpAddr) -> Result<(), Refused> {
        let Some(kind) = not_global(address) else {
            return Ok(());
        };
        // `::ffff:10.0.0.1` is a spelling of 10.0.0.1 and goes where that goes, so one entry allows both.
        let plain = address.to_canonical();
        let allowed = |net: &IpNet| net.contains(&address) || net.contains(&plain);
        if self.allow.iter().any(allowed) {
            return Ok(());
        }
        Err(Refused { address, kind })
    }
}

/// What `address` is, where it is not globally routable.
fn not_global(address: IpAddr) -> Option<&'static str> {
    NOT_GLOBAL
        .iter()
        .find(|(net, _)| net.contains(&address))
        .map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_last_address_of_every_refused_range_are_refused_and_their_neighbours_are_not()
    {
        let guard = Guard::default();
        let check = |first: &str, last: &str| {
            for address in [first, last] {
                assert!(guard.check(address.parse().unwrap()).is_err(), "{address}");
            }
        };
        check("0.0.0.0", "0.255.255.255");
        check("10.0.0.0", "10.255.255.255");
        check("100.64.0.0", "100.127.255.255");
        check("127.0.0.0", "127.255.255.255");
        check("169.254.0.0", "169.254.255.255");
        check("172.16.0.0", "172.31.255.255");
        check("192.0.0.0", "192.0.0.255");
        check("192.0.2.0", "192.0.2.255");
        check("192.88.99.0", "192.88.99.255");
        check("192.168.0.0", "192.168.255.255");
        check("198.18.0.0", "198.19.255.255");
        check("198.51.100.0", "198.51.100.255");
        check("203.0.113.0", "203.0.113.255");
        check("224.0.0.0", "239.255.255.255");
        check("240.0.0.0", "255.255.255.255");
        for neighbour in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "203.0.114.0",
            "223.255.255.255",
            "8.8.8.8",
        ] {
            assert_eq!(
                guard.check(neighbour.parse().unwrap()),
                Ok(()),
                "{neighbour}"
            );
        }
    }

    #[test]
    fn ipv6_is_refused_outside_of_global_unicast_and_wherever_it_hides_an_ipv4_address() {
        let guard = Guard::default();
        for address in [
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "::8.8.8.8",
            "::2",
            "64:ff9b::127.0.0.1",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1",
            "64:ff9b:1:ffff::1",
            "100::1",
            "100:0:0:1::1",
            "2001::1",
            "2001:0:7f00:1::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:808:808::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "feff::1",
            "ff02::1",
            "ffff::1",
            "1000::1",
        ] {
            assert!(guard.check(address.parse().unwrap()).is_err(), "{address}");
        }
        for address in [
            "2000::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2600::1",
            "2a00:1450::1",
            "3ffe::1",
        ] {
            assert_eq!(guard.check(address.parse().unwrap()), Ok(()), "{address}");
        }
    }

    #[test]
    fn what_the_operator_allows_is_allowed_and_nothing_beside_it() {
        let guard = Guard::new(vec![
            "10.1.0.0/16".parse().unwrap(),
            "fd00::/8".parse().unwrap(),
        ]);
        let check = |address: &str, allowed: bool| {
            assert_eq!(
                guard.check(address.parse().unwrap()).is_ok(),
                allowed,
                "{address}"
            );
        };
        check("10.1.2.3", true);
        check("::ffff:10.1.2.3", true);
        check("10.2.0.1", false);
        check("fd12::1", true);
        check("fc12::1", false);
        check("64:ff9b::10.1.2.3", false);
        check("2002:a01:203::1", false);
    }

    #[test]
    fn a_refusal_names_the_address_and_the_setting() {
        let refused = Guard::default()
            .check([169, 254, 169, 254].into())
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("169.254.169.254") && refused.contains("egress.allow"),
            "{refused}"
        );
    }
}
