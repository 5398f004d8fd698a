"""One server in the cluster: publish path, interest, namespaces, registry, clockwork."""
