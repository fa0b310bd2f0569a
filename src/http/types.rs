//! From and to the types of the `http` crate. Feature `http-types`.

// Only conversions: nothing of ours is made of its types, so that who does not ask for them does not
// build them. `From` where every value has a counterpart, `TryFrom` where one may not.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::wire::{Fault, Fields, Method, Status, Version};

/// Names of more than 32 bytes are refused, as requests with them are. Feature `http-types`.
#[cfg_attr(docsrs, doc(cfg(feature = "http-types")))]
impl TryFrom<&http::Method> for Method {
    type Error = Fault;

    fn try_from(method: &http::Method) -> Result<Self, Fault> {
        Self::from_bytes(method.as_str().as_bytes())
    }
}

/// The same method. Feature `http-types`.
#[cfg_attr(docsrs, doc(cfg(feature = "http-types")))]
impl TryFrom<&Method> for http::Method {
    type Error = Fault;

    fn try_from(method: &Method) -> Result<Self, Fault> {
        Self::from_bytes(method.as_str().as_bytes()).map_err(|_| Fault::BadRequestLine)
    }
}

/// The same code. Feature `http-types`.
#[cfg_attr(docsrs, doc(cfg(feature = "http-types")))]
impl From<StatusCode> for Status {
    fn from(status: StatusCode) -> Self {
        // Both have exactly 100 to 999, as a test says; a code that is out of that is an error of the server.
        Self::from_code(status.as_u16()).unwrap_or(Self::INTERNAL_SERVER_ERROR)
    }
}

/// The same code. Feature `http-types`.
#[cfg_attr(docsrs, doc(cfg(feature = "http-types")))]
impl From<Status> for StatusCode {
    fn from(status: Status) -> Self {
        Self::from_u16(status.code()).unwrap_or(Self::INTERNAL_SERVER_ERROR)
    }
}

/// The same version. Feature `http-types`.
#[cfg_attr(docsrs, doc(cfg(feature = "http-types")))]
impl From<Version> for http::Version {
    fn from(version: Version) -> Self {
        match version {
            Version::Http10 => Self::HTTP_10,
            Version::Http11 => Self::HTTP_11,
        }
    }
}

/// Versions other than 1.0 and 1.1 are refused. Feature `http-types`.
#[cfg_attr(docsrs, doc(cfg(feature = "http-types")))]
impl TryFrom<http::Version> for Version {
    type Error = Fault;

    fn try_from(version: http::Version) -> Result<Self, Fault> {
        match version {
            http::Version::HTTP_10 => Ok(Self::Http10),
            http::Version::HTTP_11 => Ok(Self::Http11),
            _ => Err(Fault::UnsupportedVersion),
        }
    }
}

/// The same fields: names in lower case, those of one name together, in their order. More than 32 768 of them are
/// refused. Feature `http-types`.
///
/// ```
/// use evloop::wire::Fields;
/// use http::HeaderMap;
///
/// let mut fields = Fields::new();
/// fields.push("Accept", "text/html")?;
/// let map = HeaderMap::try_from(&fields)?;
/// assert_eq!(map["accept"], "text/html");
/// # Ok::<(), evloop::wire::Fault>(())
/// ```
#[cfg_attr(docsrs, doc(cfg(feature = "http-types")))]
impl TryFrom<&Fields> for HeaderMap {
    type Error = Fault;

    fn try_from(fields: &Fields) -> Result<Self, Fault> {
        let mut map = Self::try_with_capacity(fields.len()).map_err(|_| Fault::TooManyFields)?;
        for (name, value) in fields.iter() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Fault::BadFieldName)?;
            let value = HeaderValue::from_bytes(value).map_err(|_| Fault::BadFieldValue)?;
            map.try_append(name, value).map_err(|_| Fault::TooManyFields)?;
        }
        Ok(map)
    }
}

/// The same fields, in the order in which the map has them; those of one name stay in theirs. White space around
/// values goes. Feature `http-types`.
#[cfg_attr(docsrs, doc(cfg(feature = "http-types")))]
impl TryFrom<&HeaderMap> for Fields {
    type Error = Fault;

    fn try_from(map: &HeaderMap) -> Result<Self, Fault> {
        let mut fields = Self::new();
        for (name, value) in map {
            fields.push(name.as_str(), value.as_bytes())?;
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_counterpart() {
        for code in 0..=u16::MAX {
            let (ours, theirs) = (Status::from_code(code), StatusCode::from_u16(code).ok());
            assert_eq!(ours.is_some(), theirs.is_some(), "{code}");
            assert_eq!(ours.map(StatusCode::from), theirs);
            assert_eq!(theirs.map(Status::from), ours);
        }
    }

    #[test]
    fn every_byte_of_a_method_has_its_counterpart() {
        for byte in 0..=u8::MAX {
            let (ours, theirs) = (Method::from_bytes(&[byte]), http::Method::from_bytes(&[byte]));
            assert_eq!(ours.is_ok(), theirs.is_ok(), "{byte}");
            if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                assert_eq!(http::Method::try_from(&ours).as_ref(), Ok(&theirs));
                assert_eq!(Method::try_from(&theirs), Ok(ours));
            }
        }
    }

    #[test]
    fn methods_are_the_same_and_long_ones_are_refused() {
        assert_eq!(Method::try_from(&http::Method::GET), Ok(Method::GET));
        assert_eq!(http::Method::try_from(&Method::PROPFIND).unwrap(), "PROPFIND");
        let long = http::Method::from_bytes(&[b'A'; 33]).unwrap();
        assert_eq!(Method::try_from(&long), Err(Fault::MethodTooLong));
    }

    #[test]
    fn versions_are_the_same_and_others_are_refused() {
        for (ours, theirs) in
            [(Version::Http10, http::Version::HTTP_10), (Version::Http11, http::Version::HTTP_11)]
        {
            assert_eq!(http::Version::from(ours), theirs);
            assert_eq!(Version::try_from(theirs), Ok(ours));
        }
        for other in [http::Version::HTTP_09, http::Version::HTTP_2, http::Version::HTTP_3] {
            assert_eq!(Version::try_from(other), Err(Fault::UnsupportedVersion));
        }
    }

    #[test]
    fn fields_keep_their_values_and_repeats() {
        let mut fields = Fields::new();
        fields.push("X-One", "1").unwrap();
        fields.push("Accept", b"\xff\tb".as_slice()).unwrap();
        fields.push("x-one", "2").unwrap();
        let map = HeaderMap::try_from(&fields).unwrap();
        assert_eq!(map.len(), 3);
        assert_eq!(map.get_all("X-ONE").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(map["accept"].as_bytes(), b"\xff\tb");

        let back = Fields::try_from(&map).unwrap();
        assert_eq!(back.len(), 3);
        assert_eq!(back.get_all("x-one").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(back.get("Accept"), Some(b"\xff\tb".as_slice()));
    }

    #[test]
    fn every_byte_of_a_name_or_value_has_its_counterpart() {
        for byte in 0..=u8::MAX {
            let mut fields = Fields::new();
            let value = [b'a', byte, b'a'];
            assert_eq!(
                fields.push("a", value).is_ok(),
                HeaderValue::from_bytes(&value).is_ok(),
                "value {byte}"
            );
            if byte.is_ascii() {
                let name = String::from(char::from(byte));
                assert_eq!(
                    fields.push(&name, "a").is_ok(),
                    HeaderName::from_bytes(name.as_bytes()).is_ok(),
                    "name {byte}"
                );
            }
            HeaderMap::try_from(&fields).unwrap();
        }
    }
}
