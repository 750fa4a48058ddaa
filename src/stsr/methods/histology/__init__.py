"""Methods that predict expression from the H&E around a point alone, as published for prediction from histology."""
