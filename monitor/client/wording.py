"""Wording around a stated value: whether it is a plain statement of one's own confidence.

What precedes a value in its clause must be words of a plain statement, which `_PLAIN_WORD` lists, so that denials, wishes, questions and
what others think are none, however they are put. The rest of the sentence must not deny it; what follows must not undo it.
"""

import re
from typing import Final

_LOOKS_AROUND: Final = 240

_SENTENCES: Final = re.compile(
    r"[!?;\n]|(?<!\b[a-z])\. (?![0-9])"
    r"|,? (?:but|yet) (?=(?:i|i'm|we|my|our|with|overall|confidence)\b)"
    r"|, (?:so|and|hence|thus|therefore) (?=(?:i|i'm|we|my|our|with|confidence)\b)"
)
_OPENING: Final = re.compile(
    r"^(?:(?:although|though|while|whilst|despite|without|given|since|even though)\b[^,]*|no|nope|well|yes|actually), ?(?=(?:i|i'm|my)\b)"
)
_CLAUSES: Final = re.compile(r"[,:()\[\]{}|>]| - | (?=with )")
_PLAIN_WORD: Final = re.compile(
    r"i|i'm|i'd|i'll|im|am|we|we're|are|my|our|the|this|that|an?|feel|remain|would|say|state|think|believe|estimate|guess|answer|conclude"
    r"|have|has|put|give|assign|it|rated?|with|is|of|overall|own|personally|honestly|frankly|currently|still|now|also|so|and|therefore|hence|thus|yes"
    r"|well|ok|okay|quite|fairly|pretty|very|high|strong|good|moderate|medium|low|final|total|current|stated|numeric|model|level|degree"
    r"|about|around|roughly|approximately|maybe|perhaps|probably|only|just|exactly"
)
_SPEAKS: Final = frozenset({"i", "i'm", "i'd", "i'll", "im", "we", "we're", "my", "our"})
_DENIES: Final = re.compile(
    r"\b(?:no|not|non|never|none|nobody|nothing|neither|nor|cannot|cant|dont|wont|isnt|without|hardly|barely|scarcely|rarely|seldom|unable"
    r"|doubt\w*|den(?:y|ies|ied)|if|unless|wish|far from|short of|less|lack\w*|refus\w*|(?<!i )(?:said|says|told)|example|pretend\w*"
    r"|impossible"
    r"|ne|pas|jamais|nicht|nie|kein\w*|nunca|niet|geen|não|mai|нет|не)\b|n't\b"
)
_STATISTICS: Final = re.compile(
    r"\b(?:(?:interval|null|hypothes[ei]s|p-value|mean lies|margin of error|sample size|statistical\w*|significan\w*)\b"
    r"|(?:in|of|to) the (?:study|paper|survey|poll)\b|p ?[<=])"
)
_OF_OTHERS: Final = re.compile(
    r"\b(?:you|your|he|she|they|their|who|people|everyone|anyone|someone|experts?|scientists?|could|can(?! say| state)|might|would|should"
    r"|must|need|want|hope|was|were|had|said|says|claim\w*|asked|require\w*|target|goal|threshold|minimum|maximum)\b"
)
_OTHER_LABEL: Final = re.compile(
    r"\b(?:min|minimum|max|maximum|target|required?|desired|needed|threshold|prior|previous|earlier|old|former|your|user|user's|their|his"
    r"|her|lower|upper|least|most|example|set|def|while"
    r"|consumer|customer|business|investor|market|public|voter|vote of)(?: \w+)? $"
)
_OTHER_CONTEXT: Final = re.compile(r"\b(?:examples?|e\.g\.|sample size|def \w+\()")


def is_plain(plain: str, start: int) -> bool:
    """Tell whether the words before a place are those of a plain statement of one's own."""
    sentence = _sentence_before(plain, start)
    clauses = _CLAUSES.split(sentence)
    words = clauses[-1].split()
    if not all(map(_PLAIN_WORD.fullmatch, words)) or _STATISTICS.search(sentence):
        return False
    before = sentence[: len(sentence) - len(clauses[-1])]
    own = not _SPEAKS.isdisjoint(words) or before.endswith(("(", "["))
    return not (_DENIES.search(before) or (not own and _OF_OTHERS.search(before)))


def is_own_label(plain: str, start: int) -> bool:
    """Tell whether a label with its mark is of the answer's confidence, neither denied nor of a limit or of others."""
    sentence = _sentence_before(plain, start)
    clause = re.split(r"[,:()\[\]{}|]", sentence)[-1]
    return not any((_DENIES.search(clause), _OTHER_LABEL.search(clause), _OTHER_CONTEXT.search(sentence)))


def _sentence_before(plain: str, start: int) -> str:
    sentence = _SENTENCES.split(plain[max(0, start - _LOOKS_AROUND) : start])[-1].lstrip()
    return _OPENING.sub("", sentence, count=1)


_UNDONE: Final = re.compile(
    r" ?[)\]]?,? ?(?:"
    r"\(?(?:or|and) (?:higher|more|above|greater|better|over|up|lower|less|below|under|beyond|upwards?)\b"
    r"|\+|plus\b|not (?:more|less|higher|lower|above|below|over|under)\b"
    r"|(?:lower|higher|more|less|above|below|over|under|than)\b|[-.! ]*(?:or )?not?(?: ?$| ?[.!\n])"
    r"|(?:he|she|they|you|who) (?:say|said|says|claim)"
    r"|\(?(?:at )?(?:the )?(?:very )?(?:minimum|min|maximum|max|least|most|best|tops)\b"
    r"|[-( ]*c[il]\b|\(?(?:lower|upper) (?:bound|limit|end)|(?:confidence |credible |prediction )?intervals?\b"
    r"|percentile|quantile|threshold|cut-?off|limit\b|of (?![0-9]|that\b|this\b|it\b|my\b)"
    r"|if\b|unless\b|provided\b|assuming\b|when\b|once\b|until\b|would\b|could\b|should\b|might\b|can\b|cannot\b|were\b|was\b|isn't\b"
    r"|is (?!based|due|because)|seems?\b|sounds?\b|requires?\b|required\b|needed\b"
    r"|[^\W\d_a-z])"
)
_CORRECTED: Final = re.compile(
    r" ?[)\]]?\.{0,3}(?: ?(?:,|->|=>|\||/)| (?:or|and|then|now|no|nope|actually|rather|vs\.?|versus|but|maybe|perhaps|make (?:it|that)"
    r"|sorry|wait|correction|to|hmm|(?:revised|updated|corrected)(?: to| ?:)?)(?!\w))+ ?(?=[0-9.]+ ?(?:%|per|/|out of)|0?\.[0-9])"
)
_SENTENCE: Final = re.compile(r"(?:[^.!?\n]|\.(?! ))*")
_FIELD: Final = re.compile(r"(?:[^.!?,;{}|\n]|\.(?! ))*")
_CONDITION: Final = re.compile(r"\b(?:if|unless|provided that|assuming)\b")
_AGAINST: Final = re.compile(
    r"\b(?:i|it|this|that|answer|guess|response|result|solution|claim)(?:'m|'s| am| is| was| may be| might be| must be)"
    r" (?:\w+ ){0,2}?(?:wrong|incorrect|mistaken|false|in error|(?:not|never) (?:right|correct|true))\b"
    r"|\b(?:isn't|of not being) (?:right|correct|true)\b|\bof (?:being )?(?:wrong|incorrect|error)\b"
)


def ends_plainly(plain: str, end: int, *, labelled: bool = False) -> bool:
    """Tell whether what follows a place leaves the statement standing: the rest of the sentence, after a label that of the field."""
    after = plain[end : end + _LOOKS_AROUND]
    if _UNDONE.match(after) or _CORRECTED.match(after):
        return False
    sentence, said = (_text_of(part, after) for part in (_SENTENCE, _FIELD if labelled else _SENTENCE))
    if after[len(said) : len(said) + 1] == "?" or _STATISTICS.search(sentence):
        return False
    said = said.split(";")[0]
    return not (_CONDITION.search(said) or _AGAINST.search(said))


def _text_of(part: re.Pattern[str], text: str) -> str:
    match = part.match(text)
    return match[0] if match else ""
