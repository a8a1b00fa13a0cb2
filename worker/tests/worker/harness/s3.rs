//! A server in this process that speaks S3 and checks signatures; what it holds lies in a folder of its own.

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// The one bucket there.
pub(crate) const BUCKET: &str = "bucket";
/// Who may use it.
pub(crate) const USER: &str = "user";
/// The user's secret.
pub(crate) const SECRET: &str = "secret";

/// A running server. It ends with the test's runtime.
#[derive(Debug)]
pub(crate) struct S3 {
    pub(crate) url: String,
    pub(crate) folder: TempDir,
}

impl S3 {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join(BUCKET)).expect("a bucket");
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).expect("it is a folder"));
        service.set_auth(SimpleAuth::from_single(USER, SECRET));
        let service = service.build();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(connection), service)
                        .await
                        .ok()
                });
            }
        });
        Self { url, folder }
    }
}
