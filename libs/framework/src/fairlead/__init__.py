"""Fairlead: a Kubernetes-ready microservice framework."""
