"""Other services' wire contracts, a module each, translated into SCIM's commands and back."""
