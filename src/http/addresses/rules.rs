use std::collections::HashMap;
use std::net::IpAddr;
use std::str::FromStr;

use super::IpNetwork;
use super::network::masked;
use crate::{Error, ErrorKind};

/// Which addresses may, and which may not. The narrowest range that an address is in decides; the order of the rules does
/// not matter, but that of two for the same range the later counts.
///
/// A list of a hundred thousand ranges is as quick as one of ten: what is looked up is one range for each length of
/// prefix that there is.
///
/// ```
/// use evloop::http::IpRules;
///
/// let rules = IpRules::allow_all().deny("10.0.0.0/8".parse()?).allow("10.1.0.0/16".parse()?);
/// assert!(rules.is_allowed("192.0.2.1".parse().unwrap()));
/// assert!(!rules.is_allowed("10.2.3.4".parse().unwrap()));
/// assert!(rules.is_allowed("10.1.3.4".parse().unwrap()));
///
/// // The same as text; what is not mentioned may not.
/// let same: IpRules = "+0.0.0.0/0, +::/0, -10.0.0.0/8, +10.1.0.0/16".parse()?;
/// assert!(!same.is_allowed("10.2.3.4".parse().unwrap()));
/// # Ok::<(), evloop::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpRules {
    rules: HashMap<IpNetwork, bool>,
    /// The prefixes there are, the longest first.
    v4: Vec<u8>,
    v6: Vec<u8>,
    otherwise: bool,
}

impl IpRules {
    /// Lets in whom no rule is about.
    #[must_use]
    pub fn allow_all() -> Self {
        Self { rules: HashMap::new(), v4: Vec::new(), v6: Vec::new(), otherwise: true }
    }

    /// Lets nobody in whom no rule is about.
    #[must_use]
    pub fn deny_all() -> Self {
        Self { otherwise: false, ..Self::allow_all() }
    }

    /// Adds a range that is let in.
    #[must_use]
    pub fn allow(self, network: IpNetwork) -> Self {
        self.with(network, true)
    }

    /// Adds a range that is not let in.
    #[must_use]
    pub fn deny(self, network: IpNetwork) -> Self {
        self.with(network, false)
    }

    fn with(mut self, network: IpNetwork, allowed: bool) -> Self {
        let prefix = network.prefix();
        let prefixes = if network.address().is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        if let Err(at) = prefixes.binary_search_by(|other| prefix.cmp(other)) {
            prefixes.insert(at, prefix);
        }
        self.rules.insert(network, allowed);
        self
    }

    /// Whether an address is let in.
    #[must_use]
    pub fn is_allowed(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let prefixes = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        let found = prefixes.iter().find_map(|&prefix| {
            let network = IpNetwork::new(masked(address, prefix), prefix).ok()?;
            self.rules.get(&network).copied()
        });
        found.unwrap_or(self.otherwise)
    }
}

/// As mongoose has them: ranges with a `+` or a `-` before each, and commas or white space between them. Whom none is
/// about is not let in, unless there is none at all.
impl FromStr for IpRules {
    type Err = Error;

    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for what is no range, or has no sign before it.
    fn from_str(text: &str) -> Result<Self, Error> {
        let divider = |c: char| c == ',' || c.is_ascii_whitespace();
        let mut rules = text.split(divider).filter(|rule| !rule.is_empty()).peekable();
        let all = if rules.peek().is_none() { Self::allow_all() } else { Self::deny_all() };
        rules.try_fold(all, |all, rule| match (rule.strip_prefix('+'), rule.strip_prefix('-')) {
            (Some(network), _) => Ok(all.allow(network.parse()?)),
            (_, Some(network)) => Ok(all.deny(network.parse()?)),
            _ => {
                let cause = "a rule for addresses begins with + or -";
                Err(Error::caused(ErrorKind::InvalidInput, "reading rules", cause.into()))
            }
        })
    }
}
