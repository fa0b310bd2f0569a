//! What stands around handlers, on both backends: net-and-http-server.md 3.11 (access log, CORS, request ids, rules for
//! addresses) and 3.12 (rates of requests); reliability.md R15, R16 and the log on a full disk.

#![allow(clippy::unwrap_used)]

mod suite;
#[path = "suite/http.rs"]
mod talking;

suite::on!(epoll: http_access_log, http_addresses, http_cors, http_request_ids);
suite::on!(poll: http_access_log, http_addresses, http_cors, http_request_ids);

/// Tables and ranges, which need no loop.
mod tables {
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    use evloop::http::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn network(text: &str) -> IpNetwork {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_has_the_addresses_that_begin_as_it_does() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.0"),
            ("192.0.2.1/32", "::ffff:192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("::/0", "ffff::", "1.2.3.4"),
            ("::/0", "::1", "::ffff:1.2.3.4"),
            ("fd00::/8", "fdff::1", "fe00::"),
            ("2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"),
            ("::1", "::1", "::2"),
            ("::1/128", "::1", "::"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"),
        ] {
            let network = network(text);
            assert!(network.contains(ip(inside)), "{inside} in {text}");
            assert!(!network.contains(ip(outside)), "{outside} in {text}");
            assert_eq!(network.to_string().parse::<IpNetwork>().unwrap(), network);
        }
        assert_eq!(network("::ffff:10.0.0.0/104"), network("10.0.0.0/8"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "/",
            "10",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0.0/8/8",
            "10.0.0.1/8",
            "::1/64",
            "::/129",
            "::/256",
            "[::]/0",
            "fe80::1%eth0",
            " 10.0.0.0/8",
            "10.0.0.0/255.0.0.0",
            "::ffff:10.0.0.0/8",
            "a.b",
        ] {
            let error = text.parse::<IpNetwork>().unwrap_err();
            assert_eq!(error.kind(), evloop::ErrorKind::InvalidInput, "{text}");
        }
    }

    #[test]
    fn the_narrowest_rule_decides_in_whatever_order() {
        let rules = [("10.0.0.0/8", false), ("10.1.0.0/16", true), ("10.1.2.3", false)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let all = order.iter().fold(IpRules::allow_all(), |all, &at| {
                let (text, allowed) = rules[at];
                if allowed { all.allow(network(text)) } else { all.deny(network(text)) }
            });
            for (address, allowed) in
                [("10.1.2.3", false), ("10.1.2.4", true), ("10.2.0.0", false), ("11.0.0.0", true)]
            {
                assert_eq!(all.is_allowed(ip(address)), allowed, "{address}");
                let mapped = format!("::ffff:{address}");
                assert_eq!(all.is_allowed(ip(&mapped)), allowed, "{mapped}");
            }
            assert!(all.is_allowed(ip("::1")));
        }
        assert!(!IpRules::deny_all().is_allowed(ip("::1")));
    }

    #[test]
    fn of_two_rules_for_one_network_the_later_counts() {
        let network = network("10.0.0.0/8");
        assert!(IpRules::deny_all().deny(network).allow(network).is_allowed(ip("10.1.1.1")));
        assert!(!IpRules::allow_all().allow(network).deny(network).is_allowed(ip("10.1.1.1")));
    }

    #[test]
    fn rules_are_read_from_text() {
        let rules: IpRules = "-0.0.0.0/0,+192.168.0.0/16\n +fd00::/8".parse().unwrap();
        for (address, allowed) in
            [("192.168.1.1", true), ("1.1.1.1", false), ("fd00::1", true), ("::1", false)]
        {
            assert_eq!(rules.is_allowed(ip(address)), allowed, "{address}");
        }
        assert!("".parse::<IpRules>().unwrap().is_allowed(ip("1.1.1.1")));
        for bad in ["10.0.0.0/8", "+", "+-10.0.0.0/8", "-10.0.0.0/8;+::1", "*10.0.0.0/8"] {
            assert!(bad.parse::<IpRules>().is_err(), "{bad}");
        }
    }

    fn any_network() -> impl Strategy<Value = IpNetwork> {
        let v4 = (any::<u32>(), 0..=32_u8).prop_map(|(bits, prefix)| {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            // Near each other, so that they overlap.
            IpNetwork::new(std::net::Ipv4Addr::from(bits & 0xFF00_0007 & mask).into(), prefix)
        });
        let v6 = (any::<u128>(), 0..=128_u8).prop_map(|(bits, prefix)| {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            let few = 0xFF << 120 | 7_u128;
            IpNetwork::new(std::net::Ipv6Addr::from(bits & few & mask).into(), prefix)
        });
        prop_oneof![v4, v6].prop_filter_map("mapped", Result::ok)
    }

    proptest! {
        #[test]
        fn rules_are_those_of_a_plain_search(
            list in prop::collection::vec((any_network(), any::<bool>()), 0..20),
            probes in prop::collection::vec(any_network(), 1..20),
            otherwise in any::<bool>(),
        ) {
            let all = if otherwise { IpRules::allow_all() } else { IpRules::deny_all() };
            let rules = list.iter().fold(all, |all, (network, allowed)| {
                if *allowed { all.allow(*network) } else { all.deny(*network) }
            });
            for probe in probes {
                let ip = probe.address();
                let covering = list.iter().filter(|(network, _)| network.contains(ip));
                // Of those that are equally narrow the last.
                let narrowest = covering.max_by_key(|(network, _)| network.prefix());
                prop_assert_eq!(rules.is_allowed(ip), narrowest.map_or(otherwise, |found| found.1));
            }
        }

        #[test]
        fn no_more_is_let_through_than_rate_and_burst(
            per_second in 1..50_u32, burst in 1..20_u32,
            steps in prop::collection::vec((0..3_u8, 0..400_u64), 1..300),
        ) {
            let mut rate = RequestRate::per_second(per_second, burst);
            let begun = Instant::now();
            let mut now = begun;
            let mut taken = [0_u64; 3];
            for (who, millis) in steps {
                now += Duration::from_millis(millis);
                let ip = IpAddr::from([10, 0, 0, who]);
                let result = rate.take(ip, now);
                if result.is_ok() {
                    taken[usize::from(who)] += 1;
                }
                // Its word is kept: after that time there is one.
                if let Err(wait) = result {
                    prop_assert!(rate.clone().take(ip, now + wait).is_ok());
                    prop_assert!(rate.clone().take(ip, now + wait - Duration::from_nanos(2)).is_err());
                }
            }
            let token = 1_000_000_000 / u64::from(per_second);
            let elapsed = u64::try_from((now - begun).as_nanos()).unwrap();
            for taken in taken {
                prop_assert!(taken <= u64::from(burst) + elapsed / token);
            }
        }
    }

    #[test]
    fn one_address_gets_a_burst_and_then_its_rate() {
        let mut rate = RequestRate::per_second(10, 5);
        let (ip, begun) = (ip("192.0.2.1"), Instant::now());
        let mut taken = 0;
        for step in 0..10_000 {
            taken += usize::from(rate.take(ip, begun + Duration::from_millis(step)).is_ok());
        }
        // Ten seconds, of which the last token is of the very end.
        assert_eq!(taken, 5 + 99);
    }

    #[test]
    fn others_are_not_held_up_and_a_64_counts_as_one() {
        let mut rate = RequestRate::per_second(1, 1);
        let now = Instant::now();
        for address in ["1.1.1.1", "1.1.1.2", "2001:db8:0:1::1", "2001:db8:0:2::1", "::1"] {
            assert_eq!(rate.take(ip(address), now), Ok(()), "{address}");
        }
        for address in ["1.1.1.1", "::ffff:1.1.1.1", "2001:db8:0:1:ffff::9", "::2"] {
            assert_eq!(rate.take(ip(address), now), Err(Duration::from_secs(1)), "{address}");
        }
    }

    #[test]
    fn those_that_are_excepted_are_not_counted() {
        let mut rate = RequestRate::per_second(1, 1).except(network("10.0.0.0/8"));
        let now = Instant::now();
        assert!((0..9).all(|_| rate.take(ip("10.0.0.1"), now).is_ok()));
        assert_eq!(rate.remembered(), 0);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_who_is_long_gone() {
        let mut rate = RequestRate::per_second(1, 1).table(1000);
        let now = Instant::now();
        for n in 0..100_000_u32 {
            assert!(rate.take(std::net::Ipv4Addr::from(n).into(), now).is_ok());
            assert!(rate.remembered() <= 1001);
        }
        assert!(rate.take(ip("1.1.1.1"), now + Duration::from_secs(9)).is_ok());
        assert_eq!(rate.remembered(), 1);
    }

    #[test]
    fn nobody_is_forgotten_before_the_bucket_is_full() {
        let mut rate = RequestRate::per(Duration::from_secs(10), 1, 3);
        let begun = Instant::now();
        let at = |secs| begun + Duration::from_secs(secs);
        for _ in 0..3 {
            rate.take(ip("1.1.1.1"), at(0)).unwrap();
        }
        // The older generation comes and goes meanwhile.
        for secs in 1..10 {
            rate.take(ip("2.2.2.2"), at(secs)).ok();
            assert!(rate.take(ip("1.1.1.1"), at(secs)).is_err(), "{secs}");
        }
        assert!(rate.take(ip("1.1.1.1"), at(10)).is_ok());
        assert!(rate.take(ip("1.1.1.1"), at(10)).is_err());
        assert!(rate.take(ip("1.1.1.1"), at(20)).is_ok());
    }

    #[test]
    fn extremes_of_rates_do_no_harm() {
        let now = Instant::now();
        for mut rate in [
            RequestRate::per_second(0, 0),
            RequestRate::per_second(u32::MAX, u32::MAX),
            RequestRate::per(Duration::MAX, 1, u32::MAX),
            RequestRate::per(Duration::ZERO, 1, 1),
            RequestRate::per_second(1, 1).table(0),
        ] {
            assert!(rate.take(ip("1.1.1.1"), now).is_ok());
            let _ = rate.take(ip("1.1.1.1"), now);
            let _ = rate.take(ip("1.1.1.1"), now + Duration::from_secs(1 << 40));
        }
    }
}
