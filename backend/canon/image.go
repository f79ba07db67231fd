package canon

// ImageRequest asks for images. OpenAI's form is the only one that clients speak, so Body goes nearly as it is to services
// of the same form; a service of another form reads the fields.
type ImageRequest struct {
	Format     string
	Op         string // generations or edits
	ModelAsked string // "" = the client leaves it open
	Model      string // the upstream's name, filled from the plan
	Prompt     string
	N          int64 // 0 = not said
	Stream     bool
	Body       []byte // as the client sent it
	Type       string // content type of Body, with the boundary of a form
	// Sources reads the pictures to edit out of Body, for a service of another form. It may be nil: there are none.
	Sources func() ([]Media, error)
}

// ImageEvent is one step of the making of images: pictures that are not finished or not all there yet, and at the end one
// event that is Done.
type ImageEvent struct {
	Done  bool
	Name  string // of the event, where the service streams
	Raw   []byte // what came, in the client's form: the data of an event, or with Done the whole answer
	Usage *Usage
	// Pictures are the whole answer of a service of another form, with Done and without Raw; Created is when they were made.
	Pictures []Media
	Created  int64
}
