"""The management port: the probes and metrics of a service, itself a small Fairlead app.

- `fairlead.management.fleet`: what is known of the workers, as plain data;
- `fairlead.management.probes`: what Kubernetes asks, as functions of that;
- `fairlead.management.metrics`: the workers' states as metrics;
- `fairlead.management.app.build_management_app`: both as an `App`;
- `fairlead.management.server`: that app on its port, in the running loop or in a thread.
"""
