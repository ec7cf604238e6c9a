"""`doorstep`: the operator's command line, a client like any other, over HTTP and AMQP."""
