"""综治E通: matters come in from phones, go to the unit that must act, and come back as outcomes."""
