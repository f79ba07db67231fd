package transport

import "golang.org/x/sys/windows/registry"

// readSystemProxies reads what stands in Settings → Network → Proxy.
func readSystemProxies() osProxies {
	k, err := registry.OpenKey(registry.CURRENT_USER, `Software\Microsoft\Windows\CurrentVersion\Internet Settings`, registry.QUERY_VALUE)
	if err != nil {
		return osProxies{} // an account without such settings has no proxy
	}
	defer k.Close()
	on, _, err := k.GetIntegerValue("ProxyEnable")
	if err != nil {
		return osProxies{}
	}
	server, _, err := k.GetStringValue("ProxyServer")
	if err != nil {
		return osProxies{}
	}
	override, _, err := k.GetStringValue("ProxyOverride")
	if err != nil {
		override = "" // there are no exceptions
	}
	return windowsProxies(on != 0, server, override)
}
