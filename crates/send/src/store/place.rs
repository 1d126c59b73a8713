//! Which store a text names: a folder, or a bucket and a prefix in it.

use std::path::PathBuf;

#[cfg(feature = "cloud")]
use object_store::ClientConfigKey;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;

use super::{Store, StoreError};

/// Times of requests to buckets: images are large and lines are slow, so a transfer may take long, but not say nothing for long. The
/// second is also what a part of an upload may take.
#[cfg(feature = "cloud")]
const TIMES: [(ClientConfigKey, &str); 2] =
    [(ClientConfigKey::Timeout, "1day"), (ClientConfigKey::ReadTimeout, "2min")];

/// What a store's text says, before anything is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The text; it holds no secret.
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Folder(PathBuf),
    /// Scheme, bucket or container, and prefix.
    Bucket(Cloud, String, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cloud {
    S3,
    Google,
    Azure,
}

impl std::str::FromStr for Place {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        // What may be a secret is not repeated.
        let public = text.split(['?', '#']).next().unwrap_or_default();
        let public = match public.split_once("://") {
            Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, rest)| rest)),
            None => public.to_owned(),
        };
        let wrong = |reason: &str| StoreError::Name { text: public.clone(), reason: reason.into() };
        let Some((scheme, rest)) = text.split_once("://") else {
            let reason = "name a folder, or a URL such as file:///srv/releases or s3://bucket/prefix";
            return if text.is_empty() { Err(wrong(reason)) } else { Ok(Self::folder(text, text)) };
        };
        if scheme == "file" {
            let path = rest.strip_prefix("localhost").unwrap_or(rest);
            return if path.starts_with('/') {
                Ok(Self::folder(text, path))
            } else {
                Err(wrong("its path is not absolute"))
            };
        }
        let cloud = match scheme {
            "s3" => Cloud::S3,
            "gs" => Cloud::Google,
            "az" => Cloud::Azure,
            _ => return Err(wrong("its scheme is none of file, s3, gs, az")),
        };
        if public != text {
            return Err(wrong("credentials and options come from the environment, never from the URL"));
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(wrong("it has no bucket"));
        }
        Ok(Self { text: public, kind: Kind::Bucket(cloud, bucket.into(), prefix.into()) })
    }
}

impl Place {
    fn folder(text: &str, path: &str) -> Self {
        Self { text: text.into(), kind: Kind::Folder(path.into()) }
    }

    /// The same, a relative folder taken from `folder` on.
    #[must_use]
    pub fn beside(mut self, folder: &std::path::Path) -> Self {
        if let Kind::Folder(path) = &mut self.kind {
            *path = folder.join(&*path);
        }
        self
    }

    /// Opens the store; a folder must exist. A bucket is not asked yet.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn open(&self) -> Result<Store, StoreError> {
        let local = |source| StoreError::Local { what: "cannot start".into(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(local)?;
        let fails = |path: &str, error: &object_store::Error| StoreError::Access {
            store: self.text.clone(),
            path: path.into(),
            reason: super::told(error),
        };
        let mut folder = None;
        let (inner, prefix): (Box<dyn ObjectStore>, &str) = match &self.kind {
            Kind::Folder(path) => {
                // What is not there is not made: an unmounted disk must not be taken for an empty store.
                let found =
                    LocalFileSystem::new_with_prefix(path).map_err(|e| fails(&path.display().to_string(), &e))?;
                folder = Some(path.clone());
                (Box::new(found.with_fsync(true)), "")
            }
            Kind::Bucket(cloud, bucket, prefix) => (self.bucket(*cloud, bucket, &fails)?, prefix),
        };
        let prefix = Path::parse(prefix.trim_end_matches('/'))
            .map_err(|error| StoreError::Name { text: self.text.clone(), reason: error.to_string() })?;
        Ok(Store { name: self.text.clone(), folder, inner, prefix, runtime })
    }

    #[cfg(not(feature = "cloud"))]
    fn bucket(
        &self,
        _: Cloud,
        _: &str,
        _: &dyn Fn(&str, &object_store::Error) -> StoreError,
    ) -> Result<Box<dyn ObjectStore>, StoreError> {
        let reason = "this program was built without buckets: build it with --features cloud".into();
        Err(StoreError::Name { text: self.text.clone(), reason })
    }

    #[cfg(feature = "cloud")]
    #[expect(clippy::unused_self, reason = "its twin without the feature tells what was asked for")]
    fn bucket(
        &self,
        cloud: Cloud,
        bucket: &str,
        fails: &dyn Fn(&str, &object_store::Error) -> StoreError,
    ) -> Result<Box<dyn ObjectStore>, StoreError> {
        use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
        use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
        use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};

        // A process has one; that it has one already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let retry = object_store::RetryConfig {
            max_retries: 3,
            // Then it counts as out of reach; whoever asked asks again.
            retry_timeout: std::time::Duration::from_secs(20),
            ..object_store::RetryConfig::default()
        };
        let boxed: Result<Box<dyn ObjectStore>, _> = match cloud {
            Cloud::S3 => {
                let builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry);
                let builder =
                    TIMES.iter().fold(builder, |b, (key, time)| b.with_config(AmazonS3ConfigKey::Client(*key), *time));
                builder.build().map(|store| Box::new(store) as _)
            }
            Cloud::Google => {
                let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_retry(retry);
                let builder =
                    TIMES.iter().fold(builder, |b, (key, time)| b.with_config(GoogleConfigKey::Client(*key), *time));
                builder.build().map(|store| Box::new(store) as _)
            }
            Cloud::Azure => {
                let builder = MicrosoftAzureBuilder::from_env().with_container_name(bucket).with_retry(retry);
                let builder =
                    TIMES.iter().fold(builder, |b, (key, time)| b.with_config(AzureConfigKey::Client(*key), *time));
                builder.build().map(|store| Box::new(store) as _)
            }
        };
        boxed.map_err(|error| fails(bucket, &error))
    }
}

/// As it was named.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_buckets_are_told_apart() {
        let kind = |text: &str| text.parse::<Place>().unwrap().kind;
        assert_eq!(kind("srv/releases"), Kind::Folder("srv/releases".into()));
        assert_eq!(kind("file:///srv/releases"), Kind::Folder("/srv/releases".into()));
        assert_eq!(kind("s3://bucket/a/b"), Kind::Bucket(Cloud::S3, "bucket".into(), "a/b".into()));
        assert_eq!(kind("gs://bucket"), Kind::Bucket(Cloud::Google, "bucket".into(), String::new()));
        assert_eq!(kind("az://c/x"), Kind::Bucket(Cloud::Azure, "c".into(), "x".into()));
    }

    #[test]
    fn what_names_no_store_is_refused_and_a_secret_is_not_repeated() {
        for text in [
            "",
            "file://srv",
            "ftp://a/b",
            "https://a/b",
            "s3://",
            "s3:///x",
            "s3://key:secret@bucket/x",
            "s3://b/x?key=secret",
        ] {
            let error = text.parse::<Place>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
