//! The real API server. `scripts/test.sh` leaves out what is in `real_cluster::` where it is not built.

mod node;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use node_kit::ApiServer;

/// A kind of resource with a rule in CEL.
const SHOPS: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shops.test.logferry.dev}
spec:
  group: test.logferry.dev
  scope: Namespaced
  names: {plural: shops, singular: shop, kind: Shop}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties:
                open: {type: integer}
                close: {type: integer, default: 24}
              x-kubernetes-validations:
                - rule: self.open < self.close
                  message: a shop opens before it closes
"#;

fn shop(name: &str, open: u32) -> String {
    format!(
        "{{apiVersion: test.logferry.dev/v1, kind: Shop, metadata: {{name: {name}, namespace: default}}, \
         spec: {{open: {open}}}}}"
    )
}

#[test]
fn resources_are_defined_defaulted_checked_by_their_rules_and_kept_over_restarts() {
    let server = ApiServer::start().unwrap();
    let admin = server.admin();
    admin.apply(SHOPS).unwrap();
    let shops = "crd/shops.test.logferry.dev";
    admin.kubectl(&["wait", "--for=condition=Established", shops]).unwrap();
    admin.apply(&shop("early", 7)).unwrap();
    let refused = admin.apply(&shop("never", 25)).unwrap_err().to_string();
    assert!(refused.contains("a shop opens before it closes"), "{refused}");
    for stop in [ApiServer::stop, ApiServer::kill] {
        stop(&server).unwrap();
        assert!(admin.kubectl(&["get", "shops"]).is_err(), "nobody answers");
        server.start_again().unwrap();
        let spec = admin.kubectl(&["get", "shops", "early", "--output=jsonpath={.spec}"]).unwrap();
        assert_eq!(spec, r#"{"close":24,"open":7}"#);
    }
}

#[test]
fn a_service_account_may_do_what_its_roles_say_and_nothing_else() {
    let server = ApiServer::start().unwrap();
    let admin = server.admin();
    admin.kubectl(&["create", "serviceaccount", "reader"]).unwrap();
    let role = ["create", "clusterrole", "reader", "--verb=get,list,watch", "--resource=pods"];
    admin.kubectl(&role).unwrap();
    let binding = ["create", "clusterrolebinding", "reader", "--clusterrole=reader"];
    admin.kubectl(&[&binding[..], &["--serviceaccount=default:reader"]].concat()).unwrap();

    let reader = server.service_account("default", "reader").unwrap();
    reader.kubectl(&["get", "pods", "--all-namespaces"]).unwrap();
    for denied in [&["get", "secrets"][..], &["create", "namespace", "mine"]] {
        let error = reader.kubectl(denied).unwrap_err().to_string();
        assert!(error.contains("Forbidden"), "{error}");
    }
}

#[test]
fn pods_of_a_node_are_watched_and_a_change_is_seen_at_once() {
    let server = ApiServer::start().unwrap();
    let admin = server.admin();
    let mut watch = Command::new(server.kubectl().unwrap());
    watch.arg("--kubeconfig").arg(admin.kubeconfig()).args([
        "get",
        "pods",
        "--watch",
        "--field-selector=spec.nodeName=node1",
        "--output=name",
    ]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    for (pod, node) in [("elsewhere", "node2"), ("here", "node1")] {
        let pod = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {pod}}}, \
             spec: {{nodeName: {node}, containers: [{{name: app, image: none}}]}}}}"
        );
        admin.apply(&pod).unwrap();
    }
    assert_eq!(lines.next().unwrap().unwrap(), "pod/here");
    watch.kill().unwrap();
    watch.wait().unwrap();
}
