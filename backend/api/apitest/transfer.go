package apitest

import (
	"bytes"
	"context"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/secret"
)

// exportIntro is how the fake's exports begin; the passphrase follows.
const exportIntro = "age-encryption.org/v1\nfake "

// Export implements api.Service.
func (s *Service) Export(_ context.Context, passphrase secret.Value) (api.Exported, error) {
	defer s.lock()()
	return api.Exported{Data: []byte(exportIntro + passphrase.Reveal()), Report: s.CarryReport}, s.Err
}

// Restore implements api.Service.
func (s *Service) Restore(_ context.Context, r api.RestoreRequest) (api.CarryReport, error) {
	defer s.lock()()
	s.LastRestore = r
	if s.Err == nil && !bytes.Equal(r.Data, []byte(exportIntro+r.Passphrase.Reveal())) {
		return api.CarryReport{}, apierror.Invalid("passphrase", "the passphrase does not open this file")
	}
	return s.CarryReport, s.Err
}

// Import implements api.Service.
func (s *Service) Import(_ context.Context, q api.ImportRequest) (api.ImportReport, error) {
	defer s.lock()()
	s.LastImport = q
	return s.ImportReport, s.Err
}
