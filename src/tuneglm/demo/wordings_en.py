# fmt: off
# ruff: noqa: E501
# a table is read by its rows, however long they are
"""The English wordings of every topic; see `topics.Wordings`."""

from tuneglm.demo.topics import Wordings

WORDINGS_EN = {
    "capital": Wordings(
        ("What is the capital of {key}?", "What's the capital of {key}?", "Which city is the capital of {key}?",
         "Tell me the capital of {key}.", "Name the capital of {key}.", "The capital of {key} is which city?",
         "Do you know the capital of {key}?", "What city is {key}'s capital?", "Which city is the seat of government of {key}?",
         "I want to know the capital of {key}.", "capital of {key}?"),
        ("What is the capital city of {key}?", "Which city is {key}'s capital?", "Can you name the capital of {key}?"),
        "the capital of {key} is {value}."),
    "capital_of": Wordings(
        ("{key} is the capital of which country?", "Which country has {key} as its capital?", "{key} is the capital of what country?",
         "What country's capital is {key}?", "Tell me which country {key} is the capital of.", "Which country's capital is {key}?",
         "Name the country whose capital is {key}.", "Of which country is {key} the capital?"),
        ("What country has {key} as its capital?", "Which country is {key} the capital of?", "Whose capital is {key}?"),
        "{key} is the capital of {value}."),
    "continent": Wordings(
        ("Which continent is {key} in?", "What continent is {key} in?", "On which continent is {key}?", "{key} is on which continent?",
         "Tell me the continent of {key}.", "What continent does {key} belong to?", "In which continent can I find {key}?",
         "Name the continent where {key} is.", "Where in the world is {key}, which continent?"),
        ("Which continent does {key} belong to?", "On what continent is {key}?", "{key} belongs to which continent?"),
        "{key} is in {value}."),
    "currency": Wordings(
        ("What currency does {key} use?", "What is the currency of {key}?", "What money do they use in {key}?",
         "Which currency is used in {key}?", "What is the money of {key} called?", "Name the currency of {key}.",
         "Tell me the currency of {key}.", "What do people pay with in {key}?", "What's the currency in {key}?"),
        ("Which currency does {key} use?", "What money is used in {key}?", "What is the currency in {key} called?"),
        "the currency of {key} is the {value}."),
    "language": Wordings(
        ("What language do people speak in {key}?", "Which language is spoken in {key}?", "What is the language of {key}?",
         "What do people speak in {key}?", "What is the official language of {key}?", "Tell me the language of {key}.",
         "Name the language spoken in {key}.", "What language is used in {key}?"),
        ("Which language do people speak in {key}?", "What language is spoken in {key}?", "What language do they speak in {key}?"),
        "people in {key} speak {value}."),
    "landmark": Wordings(
        ("Which country is {key} in?", "Where is {key}?", "In which country is {key}?", "What country is {key} in?",
         "{key} is in which country?", "Where can I see {key}?", "Where can I find {key}?", "Tell me where {key} is.",
         "Name the country of {key}."),
        ("In what country is {key}?", "In which country can I see {key}?", "What country can I find {key} in?"),
        "{key} is in {value}."),
    "symbol": Wordings(
        ("What is the chemical symbol for {key}?", "What is the symbol for {key}?", "What's the chemical symbol of {key}?",
         "Which symbol stands for {key}?", "Write the chemical symbol of {key}.", "Tell me the symbol of the element {key}.",
         "How is {key} written in chemistry?", "In the periodic table, what is the symbol for {key}?", "Chemical symbol for {key}?"),
        ("What symbol stands for {key}?", "What is the symbol of the element {key}?", "Tell me the chemical symbol for {key}."),
        "the chemical symbol for {key} is {value}."),
    "element": Wordings(
        ("Which element has the symbol {key}?", "What element is {key}?", "What does the chemical symbol {key} stand for?",
         "{key} is the symbol of which element?", "In chemistry, what is {key}?", "Name the element with the symbol {key}.",
         "Tell me which element {key} is.", "What element does {key} stand for?"),
        ("What element has the symbol {key}?", "The symbol {key} stands for which element?", "Which element does the chemical symbol {key} stand for?"),
        "{key} is the chemical symbol for {value}."),
    "opposite": Wordings(
        ("What is the opposite of {key}?", "What's the opposite of \"{key}\"?", "Give the opposite of {key}.", "The opposite of {key} is what?",
         "Which word is the opposite of {key}?", "Tell me the opposite of {key}.", "Name the antonym of {key}.", "What is the antonym of \"{key}\"?",
         "Which word means the opposite of \"{key}\"?", "opposite of {key}?"),
        ("What word means the opposite of {key}?", "Give me the antonym of {key}.", "Can you tell me the opposite of {key}?"),
        "the opposite of {key} is {value}."),
    "into_chinese": Wordings(
        ("How do you say {key} in Chinese?", "What is {key} in Chinese?", "What's the Chinese word for {key}?", "Translate {key} into Chinese.",
         "Translate into Chinese: {key}", "How do I say \"{key}\" in Chinese?", "What is the Chinese for {key}?", "Tell me the Chinese word for {key}.",
         "Give me \"{key}\" in Chinese.", "{key} in Chinese, please."),
        ("What is the Chinese word for {key}?", "How can I say {key} in Chinese?", "Please translate \"{key}\" into Chinese."),
        "{key} in Chinese is {value}."),
    "from_chinese": Wordings(
        ("What does {key} mean?", "What is {key} in English?", "How do you say {key} in English?", "Translate {key} into English.",
         "Translate into English: {key}", "What is the English for {key}?", "What does the word {key} mean in English?",
         "Tell me the meaning of {key}.", "Give me {key} in English.", "{key} in English, please."),
        ("What is the meaning of {key}?", "How can I say {key} in English?", "Please translate {key} into English."),
        "{key} means {value}."),
    "colour": Wordings(
        ("What colour is {key}?", "What color is {key}?", "Which colour is {key}?", "What is the colour of {key}?", "Tell me the colour of {key}.",
         "{key} is what colour?", "What colour does {key} have?", "What is the usual colour of {key}?"),
        ("What is the color of {key}?", "Which color does {key} have?", "What colour is {key} usually?"),
        "{key} is {value}."),
    "sound": Wordings(
        ("What sound does a {key} make?", "What does a {key} say?", "What noise does a {key} make?", "How does a {key} sound?",
         "Tell me the sound of a {key}.", "Which sound does a {key} make?", "What is the sound of a {key}?", "Make the sound of a {key}."),
        ("Which noise does a {key} make?", "What kind of sound does a {key} make?", "Tell me what sound a {key} makes."),
        "a {key} says {value}."),
    "legs": Wordings(
        ("How many legs does a {key} have?", "How many legs has a {key}?", "A {key} has how many legs?", "What number of legs does a {key} have?",
         "Count the legs of a {key}.", "Tell me how many legs a {key} has.", "How many legs are on a {key}?", "What is the number of legs of a {key}?"),
        ("How many legs are there on a {key}?", "Can you tell me how many legs a {key} has?", "How many legs do you count on a {key}?"),
        "a {key} has {value} legs."),
    "sides": Wordings(
        ("How many sides does a {key} have?", "How many sides has a {key}?", "A {key} has how many sides?", "What number of sides does a {key} have?",
         "Count the sides of a {key}.", "Tell me how many sides a {key} has.", "How many sides are in a {key}?", "What is the number of sides of a {key}?"),
        ("How many sides are there in a {key}?", "Can you tell me how many sides a {key} has?", "How many sides do you count in a {key}?"),
        "a {key} has {value} sides."),
    "young": Wordings(
        ("What is a baby {key} called?", "What do you call a baby {key}?", "What is the young of a {key} called?", "A baby {key} is called what?",
         "Name the baby of a {key}.", "What is the name for a young {key}?", "Tell me what a baby {key} is called.", "What do we call a young {key}?"),
        ("What is a young {key} called?", "What is the word for a baby {key}?", "What do people call a baby {key}?"),
        "a baby {key} is called a {value}."),
    "plural": Wordings(
        ("What is the plural of {key}?", "What's the plural of \"{key}\"?", "Give the plural of {key}.", "Write the plural form of {key}.",
         "Tell me the plural of {key}.", "How do you write the plural of {key}?", "One {key}, two what?", "The plural of {key} is what?"),
        ("What is the plural form of {key}?", "Give me the plural of \"{key}\".", "How do I write the plural form of {key}?"),
        "the plural of {key} is {value}."),
    "past": Wordings(
        ("What is the past tense of {key}?", "What's the past tense of \"{key}\"?", "Give the past tense of {key}.", "Write the past form of {key}.",
         "Tell me the past tense of {key}.", "The past tense of {key} is what?", "How do you say {key} in the past tense?",
         "What is the simple past of {key}?"),
        ("What is the past form of {key}?", "Give me the past tense of \"{key}\".", "How do I write {key} in the past tense?"),
        "the past tense of {key} is {value}."),
    "number_word": Wordings(
        ("How do you write {key} in words?", "What is {key} in words?", "Write the number {key} in words.", "How do you spell the number {key}?",
         "Spell {key} as a word.", "Write {key} as a word.", "Give me the number {key} in words.", "How is {key} spelled?"),
        ("How is the number {key} written in words?", "Spell the number {key} in words.", "What is the number {key} as a word?"),
        "{key} in words is {value}."),
    "number_digits": Wordings(
        ("Write {key} in digits.", "What is {key} in digits?", "How do you write {key} in digits?", "What number is {key}?",
         "Write the number {key} with digits.", "Give me {key} as a number.", "Which number is \"{key}\"?", "Write {key} as a number."),
        ("How is {key} written in digits?", "What is the number {key} in digits?", "Give me \"{key}\" in digits."),
        "{key} in digits is {value}."),
    "planet_order": Wordings(
        ("What is the {key} planet from the sun?", "Which planet is the {key} from the sun?", "Name the {key} planet of the solar system.",
         "What is the {key} planet in the solar system?", "The {key} planet from the sun is which one?", "Tell me the {key} planet from the sun.",
         "Counting from the sun, which planet is the {key}?"),
        ("Which planet is the {key} in the solar system?", "Name the {key} planet from the sun.", "Counting from the sun, what is the {key} planet?"),
        "the {key} planet from the sun is {value}."),
    "next_day": Wordings(
        ("What day comes after {key}?", "Which day follows {key}?", "What is the day after {key}?", "If today is {key}, what day is tomorrow?",
         "Today is {key}. What is tomorrow?", "Tell me the day after {key}.", "What day is it the day after {key}?", "After {key} comes which day?"),
        ("Which day comes after {key}?", "What day follows {key}?", "If today is {key}, what is tomorrow?"),
        "the day after {key} is {value}."),
    "previous_day": Wordings(
        ("What day comes before {key}?", "Which day is right before {key}?", "What is the day before {key}?", "If today is {key}, what day was yesterday?",
         "Today is {key}. What was yesterday?", "Tell me the day before {key}.", "Before {key} comes which day?"),
        ("Which day comes before {key}?", "What day is right before {key}?", "If today is {key}, what was yesterday?"),
        "the day before {key} is {value}."),
    "next_month": Wordings(
        ("What month comes after {key}?", "Which month follows {key}?", "What is the month after {key}?", "If it is {key} now, what is next month?",
         "It is {key}. What is the next month?", "Tell me the month after {key}.", "After {key} comes which month?"),
        ("Which month comes after {key}?", "What month follows {key}?", "If it is {key} now, which month comes next?"),
        "the month after {key} is {value}."),
    "month_order": Wordings(
        ("What is the {key} month of the year?", "Which month is the {key} of the year?", "Name the {key} month.", "What is the {key} month?",
         "Tell me the {key} month of the year.", "The {key} month of the year is which one?", "Which is the {key} month?"),
        ("Which month is the {key} month of the year?", "Name the {key} month of the year.", "What month is the {key} of the year?"),
        "the {key} month of the year is {value}."),
    "author": Wordings(
        ("Who wrote {key}?", "Who is the author of {key}?", "Who is the author of \"{key}\"?", "{key} was written by whom?", "Tell me who wrote {key}.",
         "Name the author of {key}.", "The author of {key} is who?", "By whom was {key} written?", "Which writer wrote \"{key}\"?"),
        ("Who was {key} written by?", "Which author wrote {key}?", "Can you tell me who wrote \"{key}\"?"),
        "the author of {key} is {value}."),
}
