package tray

import "embed"

//go:embed icons/*.ico
var icons embed.FS

// iconFile is the file of an icon. The variant is dark or light: what the icon's colour must stand out from.
func iconFile(state, variant string) string { return "icons/" + state + "_" + variant + ".ico" }
