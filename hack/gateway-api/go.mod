module nodeapp.dev/hack/gateway-api

go 1.24.0

// Its definitions are installed by tests; none of its code is built.
require sigs.k8s.io/gateway-api v1.4.1
