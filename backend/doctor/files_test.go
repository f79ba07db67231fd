package doctor

import "testing"

func TestCredentialFiles(t *testing.T) {
	got := files(Facts{Files: []File{
		{ID: "1", Provider: "codex", State: "found"}, {ID: "2", State: "borrowed", Account: "a"}, {ID: "3", State: "gone"}, {ID: "4", State: "empty"},
		{ID: "5", Provider: "codex", State: "empty", Account: "a"},
	}}, System{})
	if len(got) != 2 || got[0].ID != "credential_file.found" || got[1].ID != "credential_file.empty" || got[1].Level != Problem {
		t.Errorf("%+v", got)
	}
}
