from allkit.model.trained_on import TrainedOn


def test_counts_are_told_in_one_sentence():
    told = TrainedOn(exact=30, near=7, none=11, held_aside=1, left_out=36)
    assert told.text == (
        "36 of 48 images were trained on (exact copies: 30, near copies: 6); left out: 36; held out by its split "
        "though similar to one trained on: 1"
    )
    assert TrainedOn(0, 0, 5, 0, 0).text == "0 of 5 images were trained on"
