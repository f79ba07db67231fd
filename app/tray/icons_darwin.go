package tray

import "embed"

//go:embed icons/*_template.png
var icons embed.FS

// iconFile is the file of an icon. macOS colours it itself, so it has one variant.
func iconFile(state, _ string) string { return "icons/" + state + "_template.png" }
