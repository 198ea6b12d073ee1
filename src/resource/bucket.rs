//! A bucket that Odoo's attachments are in: whether a host reaches it. Changes nothing.

use super::{Decision, Kind, Resource, ResourceId};
use crate::facts::{FactError, Facts};
use crate::look::Look;
use crate::look::bucket::BucketSight;
use crate::name::HostName;

/// A bucket, as one host reaches it.
#[derive(Debug)]
pub struct Bucket {
    /// From where.
    pub host: HostName,
    /// Its address.
    pub url: String,
}

impl Resource for Bucket {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Mount, self.url.clone())
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        vec![(self.host.clone(), Look::Bucket(self.url.clone()))]
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let Self { host, url } = self;
        let why = match facts.bucket(host, url)? {
            // No key was sent: "forbidden" is what a private bucket that is there says.
            BucketSight::Answered(404) => "there is no such bucket (404)".to_owned(),
            BucketSight::Answered(code @ 500..) => format!("it answers {code}"),
            BucketSight::Answered(_) => return Ok(Decision::Holds),
            BucketSight::Silent(why) => why.clone(),
        };
        Err(FactError::Refused(format!("{host} does not reach {url}: {why}. Odoo there could neither read nor write attachments")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::Sight;

    #[test]
    fn a_private_bucket_is_there_and_a_missing_one_is_not() {
        let decide = |sight| {
            let (host, url): (HostName, String) = ("erp1".parse().unwrap(), "https://s3/acme".into());
            let seen = [(Look::Bucket(url.clone()), Ok(Sight::Bucket(sight)))].into();
            (Bucket { host: host.clone(), url }).decide(&Facts::new([(host, Ok(seen))].into()))
        };
        assert_eq!(decide(BucketSight::Answered(403)).unwrap(), Decision::Holds);
        assert!(decide(BucketSight::Answered(404)).unwrap_err().to_string().contains("no such bucket"));
        assert!(decide(BucketSight::Answered(503)).unwrap_err().to_string().contains("answers 503"));
        assert!(decide(BucketSight::Silent("timed out".into())).unwrap_err().to_string().contains("timed out"));
    }
}
