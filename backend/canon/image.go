package canon

// ImageRequest asks for images. OpenAI's form is the only one that clients speak, so Body goes as it is to services of the
// same form; a service of another form reads the fields.
type ImageRequest struct {
	Format, Op  string // Op is "generations" or "edits"
	ModelAsked  string // "" = the client leaves it open
	Model       string
	Prompt      string
	N           int64 // 0 = not said
	Stream      bool
	ContentType string // of Body
	Body        []byte
	ModelAt     [2]int // where the model's name stands in Body, in the form of ContentType; 0, 0 = it is not there
	Headers     map[string][]string
}

// ImageEvent is one step of the making of images: pictures that are not finished yet, and at the end one event that is
// Done.
type ImageEvent struct {
	Done  bool
	Name  string // of the event, where the service streams
	Raw   []byte // what the service sent, in the client's form: the data of an event, or the whole answer
	Usage *Usage
}
