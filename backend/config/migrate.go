package config

import (
	"reflect"
	"strconv"

	"github.com/goccy/go-yaml/ast"
)

// A step rewrites the text of one schema version into the next one, comments included. Step i leads from version i+1.
// Each step stands in a file of its own (v1.go, v2.go...) with a comment that shows before and after, and a pair of
// files under testdata.
type step func(text string) (string, error)

// steps is empty: version 1 is the first one.
var steps []step

// migrate brings text to the version after the last step. changed says that a step was taken. A text without
// schema_version counts as version 1: steps rename what is there and leave the rest alone.
func migrate(where, text string, steps []step) (out string, from int, err error) {
	newest := len(steps) + 1
	from, err = versionOf(where, text)
	if err != nil {
		return "", 0, err
	}
	if from > newest {
		return "", from, &Error{Key: "schema_version", Where: where, Msg: "these settings were written by a newer Patchbay (" +
			strconv.Itoa(from) + ", this one knows " + strconv.Itoa(newest) + "): update Patchbay"}
	}
	for v := from; v < newest; v++ {
		if text, err = steps[v-1](text); err != nil {
			return "", from, &Error{Where: where, Msg: "changing the settings from version " + strconv.Itoa(v) + ": " + err.Error()}
		}
		if text, err = setText(text, []string{"schema_version"}, strconv.Itoa(v+1)); err != nil {
			return "", from, err
		}
	}
	return text, from, nil
}

func versionOf(where, text string) (int, error) {
	root, err := parseText(where, []byte(text))
	if err != nil {
		return 0, err
	}
	members, _ := pairs(root)
	m := memberNamed(members, "schema_version")
	if m == nil {
		return 1, nil
	}
	return versionNumber(where, m)
}

func versionNumber(where string, m *ast.MappingValueNode) (int, error) {
	text, _ := scalarText(m.Value)
	v, err := parseLeaf(reflect.TypeFor[int](), text)
	if err != nil || v.Int() < 1 {
		return 0, &Error{Key: "schema_version", Where: where, Line: line(m) + 1, Msg: "this is the number of the file's form, 1 or more"}
	}
	return int(v.Int()), nil
}
