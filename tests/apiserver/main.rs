//! The operator against a real API server, without nodes: what is accepted and
//! refused, what is written and when nothing is, and what survives.
//!
//! Skipped unless `NODEAPP_APISERVER_KUBECONFIG` names a control plane of etcd,
//! kube-apiserver and kube-controller-manager; `cargo xtask test` makes one.

mod autoscaling;
mod backup;
mod bad_input;
mod before;
mod children;
mod config;
mod cycles;
mod definition;
mod exits;
mod faults;
mod fights;
mod fill_cluster;
mod gateway;
mod import;
mod instance_index;
mod interrupted;
mod jobs;
mod killed;
mod kstatus;
mod kubelet;
mod lease;
mod network;
mod network_rules;
mod others;
mod people;
mod plugin_diff;
mod plugin_doctor;
mod plugin_pm2;
mod plugin_rights;
mod plugin_verbs;
mod pods;
mod property;
mod pull_secret;
mod redis;
mod redis_leaving;
mod redis_volume;
mod render;
mod restarts;
mod rights;
mod rollback;
mod scoped;
mod support;
mod versions;
