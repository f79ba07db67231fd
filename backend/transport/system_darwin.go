package transport

import (
	"context"
	"os/exec"
	"time"
)

// readSystemProxies reads what stands in System Settings → Network → Proxies. The framework for it needs C; the system's own
// tool says the same.
func readSystemProxies() osProxies {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "/usr/sbin/scutil", "--proxy").Output()
	if err != nil {
		return osProxies{} // without the tool nothing is known of a proxy
	}
	return scutilProxies(string(out))
}
