"""Photos in, results out: decoding any photo losslessly, colour profiles, metadata and the files written."""
